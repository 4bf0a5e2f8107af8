package stream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/stream/streamtest"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A fullReader is a reader with every optional interface. It emits the numbers of one call, and then returns an error.
type fullReader struct {
	*journal
	err error
}

func (r fullReader) New() stream.Reader[Num] { return r }

func (r fullReader) Next(_ context.Context, out func(Num)) error {
	for n := range int64(3) {
		out(Num{N: n})
	}
	return r.err
}

func (r fullReader) Position(dst []byte) []byte { return dst }
func (r fullReader) Seek([]byte) error          { return nil }
func (r fullReader) Open(c bolt.Context) error  { return r.note("open " + c.Task().Alias.String()) }
func (r fullReader) Progress() (int64, int64)   { return 3, 7 }
func (r fullReader) Hurry(on bool)              { _ = r.note(fmt.Sprint("hurry ", on)) }
func (r fullReader) Close() error               { return r.note("close the reader") }

// A fullWriter is a writer with the optional interfaces, but RenameSafe.
type fullWriter struct {
	*journal
	name string
}

func (w fullWriter) New() stream.Writer[Num]          { return w }
func (w fullWriter) Write(context.Context, Num) error { return nil }
func (w fullWriter) Prepare(c bolt.Context) error {
	return w.note("prepare " + c.Task().Alias.String())
}
func (w fullWriter) Snapshot() ([]byte, error) {
	return []byte("state of " + w.name), w.note("snapshot " + w.name)
}
func (w fullWriter) Restore(data []byte) error {
	return w.note(fmt.Sprintf("restore %s with %s", w.name, data))
}
func (w fullWriter) Commit() error              { return w.note("commit " + w.name) }
func (w fullWriter) Close() error               { return w.note("close " + w.name) }
func (w fullWriter) Verify(bolt.Strategy) error { return w.note("verify " + w.name) }

// A safeWriter is RenameSafe, too.
type safeWriter struct{ fullWriter }

func (w safeWriter) New() stream.Writer[Num] { return w }
func (safeWriter) RenameSafe()               {}

func operatorOf(t *testing.T, top *stream.Topology, name string) *topology.Operator {
	t.Helper()
	plan, err := top.Builder().Build()
	if err != nil {
		t.Fatal(err)
	}
	return plan.Operator(name)
}

// The runtime reaches the optional interfaces of a reader through the spout of its operator. Each step is given its own name.
func TestReaderInterfaces(t *testing.T) {
	j, top := &journal{}, stream.New("reader")
	s := stream.Map(stream.From(top, "in", fullReader{journal: j}), "map", same)
	stream.To(s, "out", discard[Num]{})
	sp := operatorOf(t, top, "in").Spout.New()
	if err := sp.(spout.Opener).Open(bolttest.NewContext("in", 2, 3)); err != nil {
		t.Fatal(err)
	}
	sp.(spout.Pacer).Hurry(true)
	sp.(spout.Pacer).Hurry(false)
	if done, total := sp.(spout.Progresser).Progress(); done != 3 || total != 7 {
		t.Errorf("progress %d of %d", done, total)
	}
	j.fails = "close the reader"
	if err := sp.(io.Closer).Close(); !errors.Is(err, errCall) {
		t.Errorf("Close returns %v", err)
	}
	if want := []string{"open in.2", "hurry true", "hurry false", "close the reader"}; !slices.Equal(j.calls, want) {
		t.Errorf("calls %q, want %q", j.calls, want)
	}
}

// An error of a fused step is the error of the call of Next, whatever the source itself returns: the value that failed must
// not be passed by. No value comes after it.
func TestNextFailsWithTheError(t *testing.T) {
	for _, returned := range []error{nil, spout.ErrIdle, io.EOF} {
		top := stream.New("next")
		s := stream.TryMap(stream.From(top, "in", fullReader{&journal{}, returned}), "check", func(_ context.Context, v Num) (Num, error) {
			if v.N == 1 {
				return v, errCall
			}
			return v, nil
		})
		stream.To(s, "out", discard[Num]{})
		sp, out := operatorOf(t, top, "in").Spout.New(), bolttest.NewEmitter("Key", "N")
		if err := sp.(spout.Opener).Open(bolttest.NewContext("in", 0, 1)); err != nil {
			t.Fatal(err)
		}
		err := sp.Next(t.Context(), out)
		if !errors.Is(err, errCall) || !strings.Contains(err.Error(), `step "check"`) || !bolt.IsPermanent(err) {
			t.Errorf("a source that returns %v: Next returns %v", returned, err)
		}
		if rows := out.Rows(""); len(rows) != 1 {
			t.Errorf("a source that returns %v: %v were emitted, want the value before the one that failed", returned, rows)
		}
	}
}

// The runtime reaches the optional interfaces of all writers of an operator, in the order of the steps. The operator is
// RenameSafe if all writers that commit are.
func TestWriterInterfaces(t *testing.T) {
	for _, safe := range []bool{false, true} {
		t.Run(fmt.Sprintf("rename safe: %v", safe), func(t *testing.T) {
			j, top := &journal{}, stream.New("writers")
			s := stream.Map(stream.From(top, "in", words), "num", func(w Word) Num { return Num{w.Text, w.Line} })
			s = stream.Map(s.Rebalance(), "map", same)
			stream.To(s, "one", safeWriter{fullWriter{j, "one"}})
			if two := (fullWriter{j, "two"}); safe {
				stream.To(s, "two", safeWriter{two})
			} else {
				stream.To(s, "two", two)
			}
			op := operatorOf(t, top, "map")
			begin := func() bolt.Bolt {
				b := op.Bolt()
				if err := b.(bolt.Preparer).Prepare(bolttest.NewContext("map", 2, 3)); err != nil {
					t.Fatal(err)
				}
				return b
			}
			j.calls = nil // Build has made an operator of its own
			b := begin()
			state, err := b.(bolt.Snapshotter).Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			b = begin()
			for _, err := range []error{b.(bolt.Snapshotter).Restore(state), b.(bolt.Committer).Commit(), b.(io.Closer).Close()} {
				if err != nil {
					t.Error(err)
				}
			}
			want := []string{
				"prepare one.2", "prepare two.2", "snapshot one", "snapshot two", "prepare one.2", "prepare two.2",
				"restore one with state of one", "restore two with state of two", "commit one", "commit two", "close one", "close two",
			}
			if !slices.Equal(j.calls, want) {
				t.Errorf("calls\n%q, want\n%q", j.calls, want)
			}
			if _, is := b.(bolt.RenameSafe); is != safe {
				t.Errorf("the operator is rename safe: %v", is)
			}
			for n := range state {
				if err := begin().(bolt.Snapshotter).Restore(state[:n]); err == nil {
					t.Errorf("a snapshot cut to %d of %d bytes is taken", n, len(state))
				}
			}
			if err := begin().(bolt.Snapshotter).Restore(append(state, 0)); err == nil {
				t.Error("a snapshot of more parts is taken")
			}
			for _, name := range []string{"one", "two"} {
				for call, f := range map[string]func(bolt.Bolt) error{
					"verify":   func(b bolt.Bolt) error { return b.(bolt.Verifier).Verify(bolt.Strategy{}) },
					"commit":   func(b bolt.Bolt) error { return b.(bolt.Committer).Commit() },
					"close":    func(b bolt.Bolt) error { return b.(io.Closer).Close() },
					"snapshot": func(b bolt.Bolt) error { _, err := b.(bolt.Snapshotter).Snapshot(); return err },
				} {
					b := begin()
					j.fails = call + " " + name
					if err := f(b); !errors.Is(err, errCall) || call != "close" && !strings.Contains(err.Error(), fmt.Sprintf("step %q", name)) {
						t.Errorf("%s: %v, want an error that names the step", j.fails, err)
					}
					j.fails = ""
				}
			}
		})
	}
}

// An outage in any step of an operator is an outage of the operator, which restarts the task, and not an error of the value,
// which fails the topology.
func TestOutageOfAFusedStep(t *testing.T) {
	out := bolttest.NewEmitter()
	for _, place := range []string{"first", "second"} {
		away := func(name string) func(context.Context, Word) (Word, error) {
			return func(_ context.Context, w Word) (Word, error) {
				if name == place {
					return w, bolt.Outage(errCall)
				}
				return w, nil
			}
		}
		top := stream.New("outage")
		s := stream.TryMap(stream.From(top, "in", words).Rebalance(), "first", away("first"))
		stream.To(stream.TryMap(s, "second", away("second")), "out", discard[Word]{})
		b := operatorOf(t, top, "first").Bolt()
		if err := b.(bolt.Preparer).Prepare(bolttest.NewContext("first", 0, 1)); err != nil {
			t.Fatal(err)
		}
		err := b.Execute(t.Context(), fromOf(t, top, "first", "to", 1), out)
		if !bolt.IsOutage(err) || bolt.IsPermanent(err) || !errors.Is(err, errCall) || !strings.Contains(err.Error(), `step "`+place) {
			t.Errorf("an outage of the %s step is %v, permanent: %v", place, err, bolt.IsPermanent(err))
		}
	}
}

// fromOf returns a tuple as it comes to an operator through its first input.
func fromOf(t *testing.T, top *stream.Topology, operator string, values ...any) tuple.Tuple {
	t.Helper()
	channel := operatorOf(t, top, operator).Tasks[0].In[0]
	fields := channel.Edge.Stream.Fields
	row, err := tuple.New(fields, values...)
	if err != nil {
		t.Fatal(err)
	}
	var cursor tuple.Cursor
	cursor.Reset(row.Encoded(), tuple.Origin{Channel: &channel.ID, First: 1, Fields: fields})
	if _, err := cursor.Next(); err != nil {
		t.Fatal(err)
	}
	return cursor.Tuple()
}

// A value on a side output that no step reads fails the call: it would be lost.
func TestUnreadSideOutput(t *testing.T) {
	h := streamtest.New(t)
	in := streamtest.In[Num](h, "in")
	s := stream.Process("largest", func() *Largest { return new(Largest) },
		stream.OnKeyed(stream.KeyBy(in.Stream(), key), (*Largest).Num), stream.OnEnd((*Largest).End))
	streamtest.Out(h, "out", s)
	in.Send(Num{"a", 1})
	err := h.TryFinish()
	for _, part := range []string{"no step reads the side output seen", "largest", "stream.Side"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error %v, want one with %q", err, part)
		}
	}
}

// Bytes without content are nil behind a channel, in every kind of type.
func TestEmptyBytes(t *testing.T) {
	type bytes struct{ B []byte }
	type more struct {
		B []byte
		N int64
	}
	h := streamtest.New(t)
	one, two, three := streamtest.In[[]byte](h, "one"), streamtest.In[bytes](h, "two"), streamtest.In[more](h, "three")
	nils := func(b []byte) bool { return b == nil }
	outs := []*streamtest.Output[bool]{
		streamtest.Out(h, "out-one", stream.Map(one.Stream().Rebalance(), "map-one", nils)),
		streamtest.Out(h, "out-two", stream.Map(two.Stream().Rebalance(), "map-two", func(v bytes) bool { return nils(v.B) })),
		streamtest.Out(h, "out-three", stream.Map(three.Stream().Rebalance(), "map-three", func(v more) bool { return nils(v.B) })),
	}
	for _, b := range [][]byte{nil, {}, []byte("x"), {}} {
		one.Send(b)
		two.Send(bytes{b})
		three.Send(more{B: b})
	}
	h.Finish()
	for _, out := range outs {
		if got := out.Values(); !slices.Equal(got, []bool{true, true, false, true}) {
			t.Errorf("nil: %v", got)
		}
	}
}
