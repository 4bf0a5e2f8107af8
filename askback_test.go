package askback_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// squares is a topology whose sink gathers the squares of the numbers below n.
func squares(name string, n int64) (*topology.Builder, *bolt.Collector) {
	b, sink := topology.New(name), bolt.NewCollector()
	b.Spout("numbers", spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).Fields("n")
	b.Bolt("square", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		return out.Row().Int(t.Int(0) * t.Int(0)).Emit()
	})).
		Parallel(2).Shuffle("numbers").Fields("square")
	b.Bolt("sink", sink.New).Global("square")
	return b, sink
}

func hasSquares(t *testing.T, sink *bolt.Collector, n int64) {
	t.Helper()
	times := make(map[int64]int)
	for _, row := range sink.Rows() {
		times[row[0].(int64)]++
	}
	for i := range n {
		if times[i*i] != 1 {
			t.Fatalf("%d is there %d times", i*i, times[i*i])
		}
	}
	if sink.Len() != int(n) {
		t.Fatalf("%d rows, want %d", sink.Len(), n)
	}
}

func TestRunKills(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	b, sink := squares("squares", 20_000)
	r, err := askback.Run(t.Context(), b, faults.Kill(6, seed))
	if err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	hasSquares(t, sink, 20_000)
	total := r.Totals()
	if r.Kills != 6 || len(r.Recoveries) < 6 || total.Missed != total.Replayed || r.Resumed || r.Strategy != strategy.Backtrack || len(r.Tasks) != 4 {
		t.Errorf("seed %d: %+v", seed, r)
	}
}

func TestRunRefuses(t *testing.T) {
	good, _ := squares("squares", 10)
	bad := topology.New("bad name")
	bad.Bolt("lonely", bolt.Func(nil)).Shuffle("nobody")
	for _, c := range []struct {
		b      topology.Topology
		option askback.Option
		says   []string
	}{
		{bad, askback.WithPrefix("x"), []string{"bad name", "lonely", "nobody"}},
		{good, askback.WithStrategy(strategy.Strategy(99)), []string{"strategy(99)"}},
		{good, faults.Kill(-1, 0), []string{"faults.Kill", "-1"}},
		{good, askback.WithServer("nats://127.0.0.1:1"), []string{"127.0.0.1:1"}},
		{good, askback.WithWindow(-5), []string{"WithWindow", "-5"}},
		{good, askback.WithRetention(3, 2), []string{"WithRetention", "soft bound of 3"}},
		{good, askback.WithSnapshotEvery(time.Microsecond), []string{"WithSnapshotEvery", "1ms"}},
		{good, askback.WithRetryEvery(-time.Second, 0), []string{"WithRetryEvery: first", "-1s"}},
		{good, askback.WithDurability("hope"), []string{"hope", "power"}},
		{good, askback.WithKeep(), []string{"WithKeep", "WithServer"}},
		{nil, askback.WithPrefix("x"), []string{"topology is nil"}},
		{(*topology.Builder)(nil), askback.WithPrefix("x"), []string{"no operators"}},
		{good, askback.WithPrefix("a.>"), []string{"a.>"}},
		{good, askback.WithMaxPayload(-1), []string{"-1"}},
		{good, askback.WithDir("/dev/null"), []string{"/dev/null"}},
	} {
		r, err := askback.Run(t.Context(), c.b, c.option)
		if err == nil || r != nil {
			t.Errorf("want an error that names %q: %v", c.says, r)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("want an error that names %q: %v", s, err)
			}
		}
	}
}

// Programs find classes of errors by errors.Is.
func TestErrorClasses(t *testing.T) {
	b, _ := squares("squares", 10)
	if _, err := askback.Run(t.Context(), b, askback.WithServer("nats://127.0.0.1:1")); !errors.Is(err, askback.ErrConnect) {
		t.Error(err)
	}
	dir := t.TempDir()
	server, err := embed.Start(embed.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Stop() }()
	if _, err := askback.Run(t.Context(), b, askback.WithDir(dir)); !errors.Is(err, askback.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Error(err)
	}
}

// A logger of log/slog receives what the runtime logs.
func TestLogger(t *testing.T) {
	var out syncBuffer
	b, died := topology.New("logged"), atomic.Bool{}
	b.Spout("numbers", spout.Slice("a", "b")).Fields("n")
	b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error {
		if died.CompareAndSwap(false, true) {
			panic("once")
		}
		return nil
	})).Global("numbers")
	if _, err := askback.Run(t.Context(), b, askback.WithLogger(slog.New(slog.NewJSONHandler(&out, nil)))); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); !strings.Contains(got, `"level":"WARN","msg":"task failed, will restart","task":"sink.0"`) || !strings.Contains(got, "once") {
		t.Errorf("the log is\n%s", got)
	}
}

// A syncBuffer is written to by several goroutines.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestRunCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := topology.New("endless")
	b.Spout("numbers", spout.Generate(0, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).Fields("n")
	b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { cancel(); return nil })).Global("numbers")
	if r, err := askback.Run(ctx, b); !errors.Is(err, context.Canceled) || r == nil {
		t.Errorf("%v, %v", r, err)
	}
}

func TestTwoAtOnce(t *testing.T) {
	server, err := embed.Start(embed.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Stop() }()
	var both sync.WaitGroup
	for _, name := range []string{"one", "two"} {
		both.Go(func() {
			b, sink := squares(name, 5000)
			if _, err := askback.Run(t.Context(), b, askback.WithServer(server.URL()), faults.Kill(2, 1)); err != nil {
				t.Error(err)
			} else if sink.Len() != 5000 {
				t.Errorf("%s: %d rows", name, sink.Len())
			}
		})
	}
	both.Wait()
	if n := streams(t, server.URL()); n != 0 {
		t.Errorf("%d streams left behind", n)
	}
}

func streams(t *testing.T, url string) int {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range js.ListStreams(t.Context()).Info() {
		n++
	}
	return n
}

func TestResume(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	var held atomic.Bool
	held.Store(true)
	build := func() (*topology.Builder, *bolt.Collector) {
		b, sink := topology.New("resume"), bolt.NewCollector()
		b.Spout("numbers", spout.Generate(2000, func(i int64, out spout.Emitter) error {
			if i >= 1000 && held.Load() {
				return spout.ErrIdle
			}
			return out.Row().Int(i * i).Emit()
		})).Fields("n")
		b.Bolt("sink", sink.New).Global("numbers")
		return b, sink
	}
	b, sink := build()
	_, err := askback.Run(ctx, b, askback.WithDir(dir), askback.OnProgress(func(p askback.Progress) {
		if sink.Len() == 1000 && p.Tasks[len(p.Tasks)-1].Counts.Snapshots > 0 {
			cancel()
		}
	}))
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	held.Store(false)
	for range 2 { // resumes in the middle, then at the end
		b, sink = build()
		r, err := askback.Run(t.Context(), b, askback.WithDir(dir))
		if err != nil || !r.Resumed {
			t.Fatalf("%+v, %v", r, err)
		}
		hasSquares(t, sink, 2000)
	}
}

// A task that fails for good ends the run, with its reason.
func TestRunFails(t *testing.T) {
	b := topology.New("failing")
	b.Spout("numbers", spout.Slice("a")).Fields("n")
	b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { panic("hopeless") })).Global("numbers")
	r, err := askback.Run(t.Context(), b)
	if err == nil || r == nil || !strings.Contains(err.Error(), "sink.0") || !strings.Contains(err.Error(), "hopeless") {
		t.Errorf("%v, %v", r, err)
	}
}

// longest keeps the longest word of each first letter, and emits them when its input ends.
type longest struct{ words [26]string }

func (l *longest) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	if w := t.String(0); len(w) > len(l.words[w[0]-'a']) {
		l.words[w[0]-'a'] = w
	}
	return nil
}

func (l *longest) Finish(_ context.Context, out bolt.Emitter) error {
	for _, w := range l.words {
		if w == "" {
			continue
		}
		if err := out.Row().String(w).Emit(); err != nil {
			return err
		}
	}
	return nil
}

func (l *longest) Snapshot() ([]byte, error) { return []byte(strings.Join(l.words[:], " ")), nil }
func (l *longest) Restore(data []byte) error {
	copy(l.words[:], strings.Split(string(data), " "))
	return nil
}

func ExampleRun() {
	b, sink := topology.New("longest"), bolt.NewCollector()
	b.Spout("lines", spout.Slice("ask back for what", "was missed and", "a whole answer comes")).Fields("line")
	b.Bolt("split", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		for w := range strings.FieldsSeq(t.String(0)) {
			if err := out.Row().String(w).Emit(); err != nil {
				return err
			}
		}
		return nil
	})).Parallel(2).Shuffle("lines").Fields("word")
	b.Bolt("longest", func() bolt.Bolt { return &longest{} }).Global("split").Fields("word")
	b.Bolt("sink", sink.New).Global("longest")

	report, err := askback.Run(context.Background(), b, faults.Kill(2, 1))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range sink.Rows() {
		fmt.Println(row[0])
	}
	fmt.Println(report.Kills, "killed")
	// Output:
	// answer
	// back
	// comes
	// for
	// missed
	// whole
	// 2 killed
}
