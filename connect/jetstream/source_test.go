package jetstream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	natsjs "github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/connect/jetstream"
	"github.com/askback/askback/internal/natstest"
	"github.com/askback/askback/spout"
)

func numbers(t testing.TB, rows [][]any) (n []int) {
	t.Helper()
	for _, row := range rows {
		i, err := strconv.Atoi(row[0].(string))
		if err != nil {
			t.Fatal(err)
		}
		n = append(n, i)
	}
	return n
}

func sequence(from, to int) (n []int) {
	for i := from; i <= to; i++ {
		n = append(n, i)
	}
	return n
}

func wantNumbers(t testing.TB, out *bolttest.Emitter, want []int) {
	t.Helper()
	got := numbers(t, out.Rows(""))
	if slices.Equal(got, want) {
		return
	}
	for i, n := range got {
		if i >= len(want) || n != want[i] {
			t.Fatalf("%d rows, want %d: row %d is %d", len(got), len(want), i, n)
		}
	}
	t.Fatalf("%d rows, want %d", len(got), len(want))
}

func TestColumns(t *testing.T) {
	nc, js := fixture(t, nil)
	before := time.Now().Add(-time.Minute)
	publish(t, js, "s.a", 7, 7)
	s := open(t, jetstream.Spout(nc, "s").Ends(), 0, 1)
	out := bolttest.NewEmitter("subject", "data", "seq", "time")
	if err := read(t, s, out, -1); err != io.EOF {
		t.Fatal(err)
	}
	row := out.Rows("")[0]
	if row[0] != "s.a" || row[1] != "7" || fmt.Sprint(row[2]) != "1" || row[3].(time.Time).Before(before) {
		t.Errorf("%v", row)
	}
	if done, total := s.(spout.Progresser).Progress(); done != 1 || total != 1 {
		t.Errorf("progress %d of %d, want 1 of 1", done, total)
	}
}

// A source with an end ends there, though more is written; one without follows.
func TestEndsAndFollows(t *testing.T) {
	nc, js := fixture(t, nil)
	publish(t, js, "s.a", 1, 5000)
	ends := open(t, jetstream.Spout(nc, "s", jetstream.Data).Ends(), 0, 1)
	follows := open(t, jetstream.Spout(nc, "s", jetstream.Data), 0, 1)
	publish(t, js, "s.a", 5001, 6000)
	out := bolttest.NewEmitter("data")
	if err := read(t, ends, out, -1); err != io.EOF {
		t.Fatal(err)
	}
	wantNumbers(t, out, sequence(1, 5000))
	out.Reset()
	if err := read(t, follows, out, 6000); err != nil {
		t.Fatal(err)
	}
	publish(t, js, "s.a", 6001, 6001)
	if err := read(t, follows, out, 6001); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, out, sequence(1, 6001))
}

func TestEmptyStreamEnds(t *testing.T) {
	nc, js := fixture(t, nil)
	for range 2 {
		out := bolttest.NewEmitter("data")
		if err := read(t, open(t, jetstream.Spout(nc, "s", jetstream.Data).Subjects("s.b").Ends(), 0, 1), out, -1); err != io.EOF {
			t.Fatal(err)
		}
		wantNumbers(t, out, nil)
		publish(t, js, "s.a", 1, 10) // not what is wanted
	}
}

func TestSubjects(t *testing.T) {
	nc, js := fixture(t, nil)
	for i := range 30 {
		publish(t, js, []string{"s.a", "s.b.x", "s.c"}[i%3], i, i)
	}
	out := bolttest.NewEmitter("data")
	s := open(t, jetstream.Spout(nc, "s", jetstream.Data).Subjects("s.a", "s.b.*").Ends(), 0, 1)
	if err := read(t, s, out, -1); err != io.EOF {
		t.Fatal(err)
	}
	var want []int
	for i := range 30 {
		if i%3 != 2 {
			want = append(want, i)
		}
	}
	wantNumbers(t, out, want)
}

func TestStart(t *testing.T) {
	nc, js := fixture(t, nil)
	publish(t, js, "s.a", 1, 10)
	time.Sleep(20 * time.Millisecond)
	at := time.Now()
	time.Sleep(20 * time.Millisecond)
	publish(t, js, "s.a", 11, 20)
	for _, c := range []struct {
		source *jetstream.Source[spout.Spout]
		from   int
	}{
		{jetstream.Spout(nc, "s", jetstream.Data), 1},
		{jetstream.Spout(nc, "s", jetstream.Data).From(5), 5},
		{jetstream.Spout(nc, "s", jetstream.Data).Since(at), 11},
		{jetstream.Spout(nc, "s", jetstream.Data).Since(at.Add(-time.Hour)), 1},
		{jetstream.Spout(nc, "s", jetstream.Data).Since(at.Add(time.Hour)), 21},
		{jetstream.Spout(nc, "s", jetstream.Data).From(100), 21},
	} {
		out := bolttest.NewEmitter("data")
		if err := read(t, open(t, c.source.Ends(), 0, 1), out, -1); err != io.EOF {
			t.Fatal(err)
		}
		wantNumbers(t, out, sequence(c.from, 20))
	}
}

// Several tasks read everything once, and with BySubject each subject in its order.
func TestTasks(t *testing.T) {
	nc, js := fixture(t, nil)
	for i := range 1000 {
		publish(t, js, "s."+strconv.Itoa(i%17), i, i)
	}
	for _, bySubject := range []bool{false, true} {
		source := jetstream.Spout(nc, "s", jetstream.Data).Ends()
		if bySubject {
			source.BySubject()
		}
		var all []int
		for i := range 3 {
			out := bolttest.NewEmitter("data")
			if err := read(t, open(t, source, i, 3), out, -1); err != io.EOF {
				t.Fatal(err)
			}
			mine := numbers(t, out.Rows(""))
			if len(mine) == 0 || !slices.IsSorted(mine) {
				t.Errorf("task %d: %v", i, mine)
			}
			for _, n := range mine {
				if bySubject && !slices.Contains(mine, n%17) {
					t.Errorf("task %d has %d and not %d of the same subject", i, n, n%17)
				}
			}
			all = append(all, mine...)
		}
		slices.Sort(all)
		if !slices.Equal(all, sequence(0, 999)) {
			t.Errorf("by subject %v: %d messages", bySubject, len(all))
		}
	}
}

// Whenever a task is restored, it emits what followed its position before.
func TestReplay(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	random := rand.New(rand.NewPCG(seed, 0))
	nc, js := fixture(t, nil)
	n := 0
	for range 60 { // some messages are large, to have several calls of Next each
		var lines bytes.Buffer
		for range 1 + random.IntN(1+random.IntN(8000)) {
			n++
			fmt.Fprintf(&lines, "%d\n\n", n)
		}
		if random.IntN(2) == 0 {
			lines.Truncate(lines.Len() - 2)
		}
		if _, err := js.Publish(t.Context(), "s.a", lines.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	source := func() *jetstream.Source[spout.Spout] { return jetstream.Spout(nc, "s", jetstream.Data).Ends().Lines() }
	s, out := open(t, source(), 0, 1), bolttest.NewEmitter("data")
	for range 20 {
		if err := read(t, s, out, len(out.Encoded(""))+1+random.IntN(n/20)); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		position := s.Position(nil)
		publish(t, js, "s.a", 1_000_000, 1_000_000) // beyond the end that was decided
		_ = s.(io.Closer).Close()
		s = open(t, source(), 0, 1)
		if err := s.Seek(position); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if again := s.Position(nil); !bytes.Equal(again, position) {
			t.Fatalf("seed %d: position %x became %x", seed, position, again)
		}
	}
	if err := read(t, s, out, -1); err != io.EOF {
		t.Fatalf("seed %d: %v", seed, err)
	}
	wantNumbers(t, out, sequence(1, n))
	s = open(t, source(), 0, 1) // at the end it is still at the end
	if err := s.Seek(s.Position(nil)); err != nil {
		t.Fatal(err)
	}
}

func TestSeekRefuses(t *testing.T) {
	nc, js := fixture(t, nil)
	publish(t, js, "s.a", 1, 10)
	source := jetstream.Spout(nc, "s").Ends()
	s := open(t, source, 0, 1)
	good := s.Position(nil)
	for i := range good {
		if err := s.Seek(good[:i]); !errors.Is(err, spout.ErrPosition) {
			t.Errorf("position cut at %d: %v", i, err)
		}
	}
	for name, other := range map[string]spout.Spout{
		"more tasks": open(t, jetstream.Spout(nc, "s").Ends(), 0, 2),
		"follows":    open(t, jetstream.Spout(nc, "s"), 0, 1),
		"subjects":   open(t, jetstream.Spout(nc, "s").Ends().Subjects("s.a"), 0, 1),
		"lines":      open(t, jetstream.Spout(nc, "s").Ends().Lines(), 0, 1),
	} {
		if err := other.Seek(good); !errors.Is(err, spout.ErrPosition) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := s.Seek(append(good, 0)); !errors.Is(err, spout.ErrPosition) {
		t.Error(err)
	}
}

// A message that must be read again and is gone is an error that names the cause, whether it expired, was purged, or
// went with the whole stream.
func TestMissing(t *testing.T) {
	nc, js := fixture(t, nil)
	publish(t, js, "s.a", 1, 100)
	source := func() *jetstream.Source[spout.Spout] { return jetstream.Spout(nc, "s", jetstream.Data) }
	s := open(t, source(), 0, 1)
	early := s.Position(nil)
	out := bolttest.NewEmitter("data")
	if err := read(t, s, out, 100); err != nil {
		t.Fatal(err)
	}
	late := s.Position(nil)
	stream, err := js.Stream(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	restore := func(position []byte) error {
		out.Reset()
		s := open(t, source(), 0, 1)
		if err := s.Seek(position); err != nil {
			t.Fatal(err)
		}
		return read(t, s, out, 1)
	}

	if err := stream.Purge(t.Context(), natsjs.WithPurgeSequence(50)); err != nil {
		t.Fatal(err)
	}
	var missing *jetstream.MissingError
	if err := restore(early); !errors.As(err, &missing) || missing.From != 1 || missing.To != 49 || !strings.Contains(err.Error(), "raise its limits") {
		t.Errorf("after a purge: %v", err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	publish(t, js, "s.a", 101, 101)
	if err := restore(late); err != nil { // all that is gone was read
		t.Error(err)
	}
	wantNumbers(t, out, []int{101})

	if err := js.DeleteStream(t.Context(), "s"); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(t.Context(), natsjs.StreamConfig{Name: "s", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	publish(t, js, "s.a", 1, 200)
	if err := restore(late); !errors.Is(err, jetstream.ErrChanged) {
		t.Errorf("after a new beginning: %v", err)
	}
}

// A reader that is overtaken by the stream's limit reports an error.
func TestOvertaken(t *testing.T) {
	nc, js := fixture(t, func(c *natsjs.StreamConfig) { c.MaxMsgs = 10_000 })
	publish(t, js, "s.a", 1, 10_000)
	s, out := open(t, jetstream.Spout(nc, "s", jetstream.Data), 0, 1), bolttest.NewEmitter("data")
	if err := read(t, s, out, 1); err != nil {
		t.Fatal(err)
	}
	publish(t, js, "s.a", 10_001, 40_000)
	var missing *jetstream.MissingError
	if err := read(t, s, out, 40_000); !errors.As(err, &missing) {
		t.Fatalf("%d rows, %v", len(out.Rows("")), err)
	}
	n := len(out.Rows(""))
	if n >= int(missing.From) {
		t.Errorf("%d rows, although %v", n, missing)
	}
	wantNumbers(t, out, sequence(1, n))
}

// A position does not stay behind with a subject that is quiet, while the stream drops the others' messages.
func TestQuietSubject(t *testing.T) {
	nc, js := fixture(t, func(c *natsjs.StreamConfig) { c.MaxMsgs = 100 })
	publish(t, js, "s.a", 1, 1)
	source := func() *jetstream.Source[spout.Spout] { return jetstream.Spout(nc, "s", jetstream.Data).Subjects("s.a") }
	s, out := open(t, source(), 0, 1), bolttest.NewEmitter("data")
	if err := read(t, s, out, 1); err != nil {
		t.Fatal(err)
	}
	publish(t, js, "s.b", 1, 1000)
	idle(t, s, 3*time.Second)
	again := open(t, source(), 0, 1)
	if err := again.Seek(s.Position(nil)); err != nil {
		t.Fatal(err)
	}
	publish(t, js, "s.a", 2, 2)
	if err := read(t, again, out, 2); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, out, []int{1, 2})
}

// Messages that someone deleted from the middle do not hinder, nor does the last one's absence.
func TestDeletedMessages(t *testing.T) {
	nc, js := fixture(t, nil)
	publish(t, js, "s.a", 1, 10)
	s, out := open(t, jetstream.Spout(nc, "s", jetstream.Data).Ends(), 0, 1), bolttest.NewEmitter("data")
	stream, err := js.Stream(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	for _, seq := range []uint64{4, 5, 10} { // 10 is the end
		if err := stream.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := read(t, s, out, -1); err != io.EOF {
		t.Fatal(err)
	}
	wantNumbers(t, out, []int{1, 2, 3, 6, 7, 8, 9})
}

// A server that restarts is only a pause.
func TestServerRestarts(t *testing.T) {
	dir, port := t.TempDir(), natstest.FreePort(t)
	url, stop := serve(t, dir, port)
	nc, js := connect(t, url)
	if _, err := js.CreateStream(t.Context(), natsjs.StreamConfig{Name: "s", Subjects: []string{"s.>"}}); err != nil {
		t.Fatal(err)
	}
	s, out := open(t, jetstream.Spout(nc, "s", jetstream.Data), 0, 1), bolttest.NewEmitter("data")
	for i := range 3 {
		publish(t, js, "s.a", i*1000+1, i*1000+1000)
		if err := read(t, s, out, i*1000+500); err != nil {
			t.Fatal(err)
		}
		stop()
		for range 10 { // while it is away
			if err := s.Next(context.Background(), out); err != nil && !errors.Is(err, spout.ErrIdle) {
				t.Fatal(err)
			}
			time.Sleep(5 * time.Millisecond)
		}
		_, stop = serve(t, dir, port)
		for !nc.IsConnected() {
			time.Sleep(5 * time.Millisecond)
		}
		if err := read(t, s, out, i*1000+1000); err != nil {
			t.Fatal(err)
		}
	}
	wantNumbers(t, out, sequence(1, 3000))
}

// A message larger than a pull asks for widens the pull.
func TestLargeMessages(t *testing.T) {
	nc, js := fixture(t, nil)
	for i := range 5 {
		data := bytes.Repeat([]byte{'x'}, 1<<20-200)
		copy(data, fmt.Append(nil, i))
		if _, err := js.Publish(t.Context(), "s."+strings.Repeat("s", 100), data); err != nil {
			t.Fatal(err)
		}
	}
	out := bolttest.NewEmitter("seq")
	if err := read(t, open(t, jetstream.Spout(nc, "s", jetstream.Seq).Ends(), 0, 1), out, -1); err != io.EOF {
		t.Fatal(err)
	}
	if len(out.Rows("")) != 5 {
		t.Errorf("%d messages", len(out.Rows("")))
	}
}

func TestOpenRefuses(t *testing.T) {
	nc, js := fixture(t, nil)
	for _, c := range []natsjs.StreamConfig{
		{Name: "queue", Subjects: []string{"q"}, Retention: natsjs.WorkQueuePolicy},
		{Name: "newest", Subjects: []string{"n.*"}, MaxMsgsPerSubject: 1},
	} {
		if _, err := js.CreateStream(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	for says, source := range map[string]*jetstream.Source[spout.Spout]{
		"connection":           jetstream.Spout(nil, "s"),
		"not the name":         jetstream.Spout(nc, "s.>"),
		"stream not found":     jetstream.Spout(nc, "nothing"),
		"workqueue":            jetstream.Spout(nc, "queue"),
		"max_msgs_per_subject": jetstream.Spout(nc, "newest"),
		"subject":              jetstream.Spout(nc, "s").Subjects("a.>.b"),
		"choose one":           jetstream.Spout(nc, "s").From(1).Since(time.Now()),
		"no column 9":          jetstream.Spout(nc, "s", 9),
	} {
		task := source.New()
		err := task.(spout.Opener).Open(bolttest.NewContext("in", 0, 1))
		if err == nil || !strings.Contains(strings.ToLower(err.Error()), says) {
			t.Errorf("want an error with %q: %v", says, err)
		}
		_ = task.(io.Closer).Close()
	}
	// A filter that only the server finds invalid fails the first Next.
	s := open(t, jetstream.Spout(nc, "s").Subjects("s.a", "s.*"), 0, 1)
	if err := read(t, s, bolttest.NewEmitter("data"), 1); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Error(err)
	}
}

// One consumer serves a reader, however much it reads; one that an operator deletes is replaced without a trace.
func TestConsumers(t *testing.T) {
	nc, js := fixture(t, nil)
	publish(t, js, "s.a", 1, 10_000)
	made, err := nc.SubscribeSync("$JS.API.CONSUMER.CREATE.s.>")
	if err != nil {
		t.Fatal(err)
	}
	s, out := open(t, jetstream.Spout(nc, "s", jetstream.Data), 0, 1), bolttest.NewEmitter("data")
	if err := read(t, s, out, 10_000); err != nil {
		t.Fatal(err)
	}
	if n, _, err := made.Pending(); n != 1 || err != nil {
		t.Errorf("%d consumers were made, %v", n, err)
	}
	stream, err := js.Stream(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	for name := range stream.ConsumerNames(t.Context()).Name() {
		if err := stream.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, js, "s.a", 10_001, 20_000)
	if err := read(t, s, out, 20_000); err != nil {
		t.Fatal(err)
	}
	wantNumbers(t, out, sequence(1, 20_000))

	if err := s.(io.Closer).Close(); err != nil {
		t.Fatal(err)
	}
	for name := range stream.ConsumerNames(t.Context()).Name() {
		t.Errorf("consumer %s is left behind", name)
	}
}
