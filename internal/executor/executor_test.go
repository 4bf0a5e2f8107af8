package executor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel/memchan"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/recovery/backtrack"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A house runs the tasks of a topology on a network and a log in memory.
type house struct {
	t     *testing.T
	plan  *topology.Plan
	log   *memlog.Log
	tasks map[string]*executor.Executor
	stop  func()     // and waits
	ended chan error // one for each task

	mu         sync.Mutex
	recoveries []executor.Recovery
	failures   []error
	lost       []task.GivenUp
}

// open builds the house and starts its tasks; adjust changes the options of each.
func open(t *testing.T, b *topology.Builder, log memlog.Options, adjust func(*executor.Options)) *house {
	t.Helper()
	plan, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return openPlan(t, plan, log, adjust)
}

func openPlan(t *testing.T, plan *topology.Plan, log memlog.Options, adjust func(*executor.Options)) *house {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	net := memchan.New(memchan.Config{})
	h := &house{t: t, plan: plan, log: memlog.New(log), tasks: map[string]*executor.Executor{}, ended: make(chan error, len(plan.Tasks))}
	var all sync.WaitGroup
	for _, k := range plan.Tasks {
		opt := executor.Options{
			Config:    task.Config{Plan: plan, Task: k, Strategy: backtrack.New, OnLost: h.onLost},
			Transport: net, Log: h.log, Backoff: time.Millisecond, MaxBackoff: 4 * time.Millisecond,
			OnRecovery: func(r executor.Recovery) { h.mu.Lock(); h.recoveries = append(h.recoveries, r); h.mu.Unlock() },
			OnFailure:  func(err error) { h.mu.Lock(); h.failures = append(h.failures, err); h.mu.Unlock() },
		}
		opt.Config.Settings.SnapshotEvery = 20
		if adjust != nil {
			adjust(&opt)
		}
		s := executor.New(opt)
		h.tasks[k.Alias.String()] = s
		all.Go(func() { h.ended <- s.Run(ctx) })
	}
	all.Go(func() { // the network
		for ctx.Err() == nil {
			net.Drain()
			time.Sleep(100 * time.Microsecond)
		}
	})
	h.stop = func() { stop(); all.Wait() }
	t.Cleanup(h.stop)
	return h
}

func (h *house) onLost(g task.GivenUp) { h.mu.Lock(); h.lost = append(h.lost, g); h.mu.Unlock() }

// until waits for a condition.
func (h *house) until(what string, is func() bool) {
	h.t.Helper()
	for began := time.Now(); !is(); time.Sleep(time.Millisecond) {
		select {
		case err := <-h.ended:
			h.t.Fatalf("waiting until %s: a task ended: %v", what, err)
		default:
		}
		if time.Since(began) > 30*time.Second {
			for a, s := range h.tasks {
				h.t.Logf("%s: %+v", a, s.Info())
			}
			h.t.Fatalf("in vain waited until %s", what)
		}
	}
}

// complete waits until every task is.
func (h *house) complete() {
	h.t.Helper()
	h.until("all are complete", func() bool {
		for _, s := range h.tasks {
			if s.Info().State != executor.Complete {
				return false
			}
		}
		return true
	})
}

// fails waits until a task has FAILED, and returns why.
func (h *house) fails() error {
	h.t.Helper()
	select {
	case err := <-h.ended:
		if err == nil {
			h.t.Fatal("a task ended without an error")
		}
		return err
	case <-time.After(30 * time.Second):
		h.t.Fatal("no task has failed")
		return nil
	}
}

// numbers emits 0 to n-1.
func numbers(n int64) spout.Source {
	return spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })
}

// chain is numbers → middle → sink.
func chain(n int64, middle func() bolt.Bolt) (*topology.Builder, *topology.Node, *bolt.Collector) {
	b, sink := topology.New("chain"), bolt.NewCollector()
	b.Spout("numbers", numbers(n)).Fields("n")
	node := b.Bolt("middle", middle).Shuffle("numbers").Fields("n")
	b.Bolt("sink", sink.New).Global("middle")
	return b, node, sink
}

func pass(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	return out.Row().Int(t.Int(0)).Emit()
}

// has checks that the sink has the numbers from 0 to n-1, but for some.
func has(t *testing.T, sink *bolt.Collector, n int64, but ...int64) {
	t.Helper()
	rows, k := sink.Rows(), 0
	for i := range n {
		if slices.Contains(but, i) {
			continue
		}
		if k >= len(rows) || rows[k][0] != i {
			t.Fatalf("row %d of %d: %v, want %d", k, len(rows), rows[min(k, len(rows)-1)], i)
		}
		k++
	}
	if k != len(rows) {
		t.Fatalf("%d rows, want %d", len(rows), k)
	}
}

func TestPanicOnce(t *testing.T) {
	var once atomic.Bool
	b, _, sink := chain(5000, bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.Int(0) == 3000 && once.CompareAndSwap(false, true) {
			panic("once")
		}
		return pass(ctx, t, out)
	}))
	h := open(t, b, memlog.Options{}, nil)
	h.complete()
	has(t, sink, 5000)
	var p *bolt.PanicError
	if len(h.failures) != 1 || !errors.As(h.failures[0], &p) || p.Value != "once" || !bytes.Contains(p.Stack, []byte("executor_test.go")) {
		t.Errorf("failures: %v", h.failures)
	}
	if len(h.recoveries) != 1 || h.recoveries[0].Alias.String() != "middle.0" || h.recoveries[0].Missed != h.recoveries[0].Replayed {
		t.Errorf("recoveries: %+v", h.recoveries)
	}
}

func TestPanicAlways(t *testing.T) {
	b, _, _ := chain(10, bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { panic("always") }))
	h := open(t, b, memlog.Options{}, nil)
	err := h.fails()
	var p *bolt.PanicError
	var at *bolt.TupleError
	if !errors.As(err, &p) || p.Value != "always" || !errors.As(err, &at) || at.Alias.String() != "middle.0" ||
		at.ID.String() != "numbers.0>middle.0#1" || at.Tuple != "{n: 0}" {
		t.Error(err)
	}
	if len(h.failures) != 1 { // the second panic at the same tuple shows that it is deterministic
		t.Errorf("%d restarts, want 1: %v", len(h.failures), h.failures)
	}
	if i := h.tasks["middle.0"].Info(); i.State != executor.Failed || i.Err == nil || i.State.String() != "FAILED" {
		t.Errorf("%+v", i)
	}
}

func TestRetry(t *testing.T) {
	tries := 0
	b, node, sink := chain(100, bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if err := pass(ctx, t, out); err != nil || t.Int(0) != 50 {
			return err
		}
		if tries++; tries < 4 {
			return errors.New("not yet") // the outputs are taken back
		}
		return nil
	}))
	node.Retry(3, 2*time.Millisecond)
	h := open(t, b, memlog.Options{}, nil)
	h.complete()
	has(t, sink, 100)
	if c := h.tasks["middle.0"].Info().Core; c.Retries != 3 {
		t.Errorf("%+v", c)
	}
}

func TestDeadLetters(t *testing.T) {
	b, node, sink := chain(100, bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.Int(0) == 50 {
			_ = pass(ctx, t, out)
			return errors.New("poison")
		}
		return pass(ctx, t, out)
	}))
	node.Retry(2, 0).DeadLetter()
	dead := bolt.NewCollector()
	b.Bolt("dead", dead.New).Global("middle:" + topology.DeadStream)
	h := open(t, b, memlog.Options{}, nil)
	h.complete()
	has(t, sink, 100, 50)
	rows := dead.Rows()
	if len(rows) != 1 || fmt.Sprint(rows[0][0]) != "numbers.0>middle.0#51" || rows[0][1] != "poison" {
		t.Fatalf("dead letters: %v", rows)
	}
	if letter, err := tuple.Parse(nil, []byte(fmt.Sprintf("%s", rows[0][2]))); err != nil || letter.Int(0) != 50 {
		t.Errorf("the letter's tuple: %v, %v", letter, err)
	}
	i := h.tasks["middle.0"].Info()
	if i.Lost != (task.Lost{Dead: 1}) || i.Core.Retries != 2 || len(h.lost) != 1 || h.lost[0].Err.Error() != "poison" {
		t.Errorf("%+v %+v", i, h.lost)
	}
}

// A dead letter is there once, though the task that gave it up is killed and does its work again.
func TestDeadLetterAndKill(t *testing.T) {
	gate := make(chan struct{})
	b, node, sink := chain(1000, bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
		switch t.Int(0) {
		case 50:
			return errors.New("poison")
		}
		return pass(ctx, t, out)
	}))
	node.DeadLetter()
	dead := bolt.NewCollector()
	b.Bolt("dead", dead.New).Global("middle:" + topology.DeadStream)
	b.Spout("gate", spout.Generate(1, func(int64, spout.Emitter) error {
		select {
		case <-gate:
			return nil
		default:
			return spout.ErrIdle
		}
	})).Fields("n")
	node.Shuffle("gate") // two inputs: its order is recorded
	h := open(t, b, memlog.Options{}, func(o *executor.Options) { o.Config.Settings.SnapshotEvery = 1 << 40 })
	h.until("the letter is there", func() bool { return dead.Len() == 1 && sink.Len() == 999 })
	h.tasks["middle.0"].Kill()
	h.until("it is back", func() bool { i := h.tasks["middle.0"].Info(); return i.Restarts == 1 && i.State == executor.Running })
	close(gate)
	h.complete()
	has(t, sink, 1000, 50)
	if rows := dead.Rows(); len(rows) != 1 {
		t.Errorf("dead letters: %v", rows)
	}
}

// An Emit that fails makes the call fail even if the bolt ignores the error.
func TestBadEmission(t *testing.T) {
	for _, c := range []struct {
		name string
		emit func(out bolt.Emitter)
		says string
	}{
		{"too large", func(out bolt.Emitter) { _ = out.Row().Bytes(make([]byte, 2<<20)).Emit() }, "2097"},
		{"a stream that is not declared", func(out bolt.Emitter) { _ = out.On("nope").Emit(1) }, "nope"},
		{"too few values", func(out bolt.Emitter) { _ = out.Emit() }, "value"},
		{"too many values", func(out bolt.Emitter) { _ = out.Row().Int(1).Int(2).Emit() }, "value"},
		{"a type that cannot be sent", func(out bolt.Emitter) { _ = out.Emit(make(chan int)) }, "chan int"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, node, sink := chain(20, bolt.Func(func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
				if t.Int(0) == 7 {
					c.emit(out)
				}
				return pass(ctx, t, out)
			}))
			node.Drop()
			h := open(t, b, memlog.Options{}, nil)
			h.complete()
			has(t, sink, 20, 7)
			if len(h.lost) != 1 || !strings.Contains(h.lost[0].Err.Error(), c.says) {
				t.Errorf("%+v", h.lost)
			}
		})
	}
}

// A tuple does not wait for more to come: neither when the task is idle nor when it is busy with other things.
func TestFlush(t *testing.T) {
	var stop atomic.Bool
	b, sink := topology.New("flush"), bolt.NewCollector()
	b.Spout("one", spout.Generate(0, func(i int64, out spout.Emitter) error {
		if i == 0 {
			return out.Row().Int(0).Emit()
		}
		if stop.Load() {
			return errors.New("stop")
		}
		return nil // busy, and emits no tuple
	})).Fields("n")
	b.Bolt("sink", sink.New).Global("one")
	h := open(t, b, memlog.Options{}, nil)
	h.until("it arrives", func() bool { return sink.Len() == 1 })
}

func TestFinishFails(t *testing.T) {
	b, _, _ := chain(10, func() bolt.Bolt { return finisher{} })
	err := open(t, b, memlog.Options{}, func(o *executor.Options) { o.Failures = 2 }).fails()
	if !strings.Contains(err.Error(), "finish of task middle.0") || !strings.Contains(err.Error(), "cannot finish") {
		t.Error(err)
	}
}

type finisher struct{}

func (finisher) Execute(context.Context, tuple.Tuple, bolt.Emitter) error { return nil }
func (finisher) Finish(context.Context, bolt.Emitter) error               { return errors.New("cannot finish") }

// A full log is reported, and the task continues when there is room.
func TestLogFull(t *testing.T) {
	var full atomic.Bool
	full.Store(true)
	b, _, sink := chain(1000, bolt.Func(pass))
	h := open(t, b, memlog.Options{Fault: func(op memlog.Op) memlog.Fault {
		if full.Load() && op.Kind == memlog.Append && op.Size > 200 {
			return memlog.Full
		}
		return memlog.None
	}}, nil)
	h.until("a task reports that the log is full", func() bool {
		return errors.Is(h.tasks["sink.0"].Info().LogError, checkpoint.ErrFull)
	})
	full.Store(false)
	h.complete()
	has(t, sink, 1000)
	if err := h.tasks["sink.0"].Info().LogError; err != nil {
		t.Errorf("the log has room, and still: %v", err)
	}
}

// The log vanishes while the tasks run: they begin in it again and continue.
func TestLogVanishes(t *testing.T) {
	var gate atomic.Int64
	gate.Store(500)
	b, sink := topology.New("vanish"), bolt.NewCollector()
	b.Spout("numbers", spout.Generate(1000, func(i int64, out spout.Emitter) error {
		if i >= gate.Load() {
			return spout.ErrIdle
		}
		return out.Row().Int(i).Emit()
	})).Fields("n")
	b.Bolt("middle", bolt.Func(pass)).Shuffle("numbers").Fields("n")
	b.Bolt("sink", sink.New).Global("middle")
	h := open(t, b, memlog.Options{}, nil)
	h.until("half is there", func() bool { return sink.Len() == 500 })
	h.log.Wipe()
	gate.Store(1000)
	h.complete()
	has(t, sink, 1000)
	for a, s := range h.tasks {
		if i := s.Info(); i.Restarts != 0 {
			t.Errorf("%s was restarted: %+v", a, i)
		}
	}
}

// A task whose successor has begun elsewhere stops for good.
func TestFenced(t *testing.T) {
	b := topology.New("fenced")
	b.Spout("numbers", spout.Generate(0, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() }).Rate(1000)).Fields("n")
	b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })).Global("numbers")
	h := open(t, b, memlog.Options{}, nil)
	h.until("it runs", func() bool { return h.tasks["sink.0"].Info().Counters.Snapshots > 0 })
	if _, _, err := checkpoint.Open(t.Context(), h.log, msgid.Alias{Operator: "sink"}, checkpoint.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := h.fails(); !errors.Is(err, checkpoint.ErrFenced) || !strings.Contains(err.Error(), "sink.0") {
		t.Error(err)
	}
}

// A task whose operator waits is ended by its successor all the same: the call's context ends when the log refuses a record.
func TestFencedWhileBlocked(t *testing.T) {
	begun, fenced := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var allowed atomic.Int64
	b, sink := topology.New("fenced"), bolt.NewCollector()
	b.Spout("numbers", gated(100, &allowed)).Fields("n")
	b.Bolt("middle", func() bolt.Bolt { return &asking{begun: begun, fenced: fenced, once: &once} }).Shuffle("numbers").Fields("n")
	b.Bolt("sink", sink.New).Global("middle")
	allowed.Store(50)
	h := open(t, b, memlog.Options{}, func(o *executor.Options) { o.Config.FrameSize = 600 })
	h.until("the channels are open", func() bool { return sink.Len() == 50 })
	allowed.Store(100)
	<-begun
	if _, _, err := checkpoint.Open(t.Context(), h.log, msgid.Alias{Operator: "middle"}, checkpoint.Options{}); err != nil {
		t.Fatal(err)
	}
	close(fenced)
	if err := h.fails(); !errors.Is(err, checkpoint.ErrFenced) || !strings.Contains(err.Error(), "middle.0") {
		t.Error(err)
	}
}

// An asking bolt waits for its successor at one tuple, and then fills frames that depend on a random number. At the next tuple it
// waits for its context.
type asking struct {
	task          bolt.Context
	begun, fenced chan struct{}
	once          *sync.Once
}

func (b *asking) Prepare(ctx bolt.Context) error { b.task = ctx; return nil }

func (b *asking) Execute(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
	switch n := t.Int(0); {
	case n == 50:
		b.once.Do(func() { close(b.begun) })
		<-b.fenced
		for range 1000 {
			if err := out.Row().Int(int64(b.task.Rand() % 100)).Emit(); err != nil {
				return err
			}
		}
	case n > 50:
		<-ctx.Done()
		return ctx.Err()
	}
	return out.Row().Int(t.Int(0)).Emit()
}

// A task that cannot continue names the channel, in Info and in the log.
func TestBlocked(t *testing.T) {
	hold := make(chan struct{})
	b := topology.New("blocked")
	b.Spout("numbers", spout.Generate(0, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).Fields("n")
	b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { <-hold; return nil })).Global("numbers")
	core, logs := observer.New(zap.WarnLevel)
	h := open(t, b, memlog.Options{}, func(o *executor.Options) {
		o.Config.Log, o.StuckAfter, o.Config.Settings.Window = zap.New(core), 50*time.Millisecond, 64<<10
	})
	defer close(hold)
	h.until("it is blocked", func() bool { return h.tasks["numbers.0"].Info().Blocked == "numbers.0>sink.0" })
	h.until("the watchdog barks", func() bool { return logs.FilterMessage("task is stuck").Len() == 1 })
	if f := logs.FilterMessage("task is stuck").All()[0].ContextMap(); f["channel"] != "numbers.0>sink.0" || !strings.HasPrefix(fmt.Sprint(f["waits for"]), "credit") {
		t.Errorf("%v", f)
	}
}

// A task is killed again and again, also while it is being restored.
func TestKillDuringRestore(t *testing.T) {
	b, _, sink := chain(20_000, bolt.Func(pass))
	h := open(t, b, memlog.Options{}, nil)
	for range 30 {
		h.tasks["middle.0"].Kill()
		h.tasks["sink.0"].Kill()
		time.Sleep(time.Millisecond)
	}
	h.complete()
	has(t, sink, 20_000)
	if n := h.tasks["middle.0"].Info().Restarts; n == 0 {
		t.Error("it was never killed")
	}
}

// A committer's effects become visible with the snapshot that covers them, and not before.
func TestCommitter(t *testing.T) {
	w := &committed{}
	b := topology.New("commit")
	b.Spout("numbers", numbers(3000)).Fields("n")
	b.Bolt("sink", func() bolt.Bolt { return &committer{to: w} }).Global("numbers")
	h := open(t, b, memlog.Options{Fault: func(op memlog.Op) memlog.Fault {
		w.appends.Add(1) // a commit before its snapshot is durable would be too early
		return memlog.None
	}}, nil)
	for range 5 {
		h.tasks["sink.0"].Kill()
		time.Sleep(3 * time.Millisecond)
	}
	h.complete()
	if w.visible != 3000 || w.early {
		t.Errorf("%d visible, want 3000; too early: %v", w.visible, w.early)
	}
}

type committed struct {
	appends atomic.Int64
	visible int
	early   bool
}

type committer struct {
	to     *committed
	n      int
	staged int
	before int64 // entries in the log when the snapshot was taken
}

func (c *committer) Execute(context.Context, tuple.Tuple, bolt.Emitter) error { c.n++; return nil }

func (c *committer) Snapshot() ([]byte, error) {
	c.staged, c.before = c.n, c.to.appends.Load()
	return fmt.Append(nil, c.n), nil
}

func (c *committer) Restore(data []byte) error {
	_, err := fmt.Sscan(string(data), &c.n)
	c.staged, c.before = c.n, -1
	return err
}

func (c *committer) Commit() error {
	c.to.early = c.to.early || c.to.appends.Load() == c.before || c.staged < c.to.visible
	c.to.visible = c.staged
	return nil
}

// A timer fires, and a restored task repeats when it did.
func TestTicker(t *testing.T) {
	b, sink := topology.New("timers"), bolt.NewCollector()
	b.Spout("numbers", numbers(2000)).Fields("n")
	b.Bolt("middle", func() bolt.Bolt { return &ticker{} }).Shuffle("numbers").Fields("n").Tick(2 * time.Millisecond)
	b.Bolt("sink", sink.New).Global("middle")
	h := open(t, b, memlog.Options{}, nil)
	for range 4 {
		time.Sleep(5 * time.Millisecond)
		h.tasks["middle.0"].Kill()
	}
	h.complete()
	sum := int64(0)
	for _, row := range sink.Rows() {
		sum += row[0].(int64)
	}
	if sum != 2000 {
		t.Errorf("the ticks counted %d tuples, want 2000", sum)
	}
}

// ticker emits how many tuples came since the last tick.
type ticker struct{ n int64 }

func (k *ticker) Execute(context.Context, tuple.Tuple, bolt.Emitter) error { k.n++; return nil }
func (k *ticker) Tick(_ context.Context, _ time.Time, out bolt.Emitter) error {
	n := k.n
	k.n = 0
	return out.Row().Int(n).Emit()
}
func (k *ticker) Finish(ctx context.Context, out bolt.Emitter) error {
	return k.Tick(ctx, time.Time{}, out)
}
func (k *ticker) Snapshot() ([]byte, error) { return fmt.Append(nil, k.n), nil }
func (k *ticker) Restore(data []byte) error { _, err := fmt.Sscan(string(data), &k.n); return err }
