package streamtest

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/memchan"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// A slot is the harness's record of a task, in all its incarnations.
type slot struct {
	task      *topology.Task
	live      *instance // nil while the task is down
	restartAt time.Time // by the clock; not before it the task is started
	failures  int       // outages in a row
	last      msgid.Incarnation
	lost      task.Lost
	ticked    time.Time // the last tick that the newest durable snapshot covers
}

// An instance is one incarnation of a task. It is its core's Env.
type instance struct {
	h        *Harness
	slot     *slot
	core     *task.Core
	endpoint *memchan.Endpoint
	cancel   context.CancelFunc
	began    uint64 // ms of the protocol's time
	dead     bool

	writer  *task.LogWriter
	answers []task.Answer

	works  bool      // the operator has pending work
	ticks  bool      // the operator's timer may fire now
	ticked time.Time // the last tick that fired, replayed ones included
	frozen time.Time // ticked at the moment of the snapshot that is being written
}

// begin starts the next incarnation of a task that is down. It reports whether that could be tried.
func (h *Harness) begin(s *slot) bool {
	if s.restartAt.After(h.now) {
		return false
	}
	in := &instance{h: h, slot: s, began: h.ms, ticked: s.ticked}
	err := in.guard(func() error { return in.restore() })
	if err != nil {
		if in.core != nil {
			_ = in.guard(in.core.Close)
		}
		if in.cancel != nil {
			in.cancel()
		}
		h.failed(s, err)
		return true
	}
	s.live = in
	in.do(in.core.Start)
	return true
}

// restore restores a task to the end of its log, and joins it to the network.
func (in *instance) restore() error {
	h, s := in.h, in.slot
	h.writers++
	writer, history, err := task.Open(context.Background(), h.log, s.task.Alias, h.chosen.Base, checkpoint.Options{AtLeast: s.last + 1, ID: h.writers})
	if err != nil {
		return err
	}
	in.writer, s.last = task.NewLogWriter(writer), history.Incarnation
	var ctx context.Context
	ctx, in.cancel = context.WithCancel(context.Background())
	cfg := task.Config{
		Plan: h.plan, Task: s.task, Strategy: in.machine, Settings: settings, FrameSize: frameSize, Now: h.Now, Rand: h.chance.Uint64,
	}
	if !s.task.Operator.System {
		cfg.Quiesce = in.quiesce
	}
	in.core, err = task.NewCore(ctx, cfg, history, in)
	if err != nil {
		return err
	}
	endpoint, err := h.net.Join(s.task.Alias, func(m channel.Message) { in.do(func() { in.core.Receive(m) }) })
	if err != nil {
		return err
	}
	in.endpoint = endpoint.(*memchan.Endpoint)
	return nil
}

// quiesce lets a bolt's timer fire only when the harness fires it, and keeps a spout from being polled before a checkpoint.
// It has no other effect on a task.
func (in *instance) quiesce() uint64 {
	hold := in.h.quiescing
	if in.slot.task.Operator.Bolt != nil {
		hold = !in.ticks
	}
	if hold {
		return 1
	}
	return 0
}

// machine makes the task's machine, observed.
func (in *instance) machine(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
	m, err := in.h.chosen.New(cfg, h)
	if err != nil {
		return nil, err
	}
	return &observed{m, in}, nil
}

// An observed machine notes whether the operator works, and the ticks that it fires or repeats.
type observed struct {
	recovery.Machine
	in *instance
}

// Step implements recovery.Machine.
func (m *observed) Step(ev recovery.Event, do *recovery.Actions) {
	switch ev.Kind {
	case recovery.Consumed, recovery.Ended:
		m.in.works = false
	case recovery.Frozen:
		m.in.frozen = m.in.ticked
	}
	before := len(do.List)
	m.Machine.Step(ev, do)
	for i := range do.List[before:] {
		switch a := &do.List[before+i]; a.Kind {
		case recovery.RunTimer:
			m.in.works, m.in.ticked = true, time.Unix(0, int64(a.Value))
		case recovery.Deliver, recovery.Poll, recovery.Finish:
			m.in.works = true
		}
	}
}

// turn is one turn of the task: the protocol's time, then some work, and if there is none, the open frames are sealed. It
// reports whether there was progress.
func (in *instance) turn() bool {
	before := in.h.net.Pending()
	busy := false
	in.do(func() { busy = in.core.Turn(recovery.Tick(in.h.ms - in.began)) })
	return busy || in.dead || in.h.net.Pending() > before
}

// tick fires the operator's timer. It reports whether the machine took it.
func (in *instance) tick() bool {
	before := in.ticked
	in.ticks = true
	in.h.ms++
	in.do(func() {
		in.core.Tick(recovery.Tick(in.h.ms - in.began))
		if in.core.Err() == nil {
			in.core.Work()
		}
	})
	in.ticks = false
	return in.ticked.After(before)
}

// write writes one record to the log.
func (in *instance) write() bool {
	if !in.writer.Busy() {
		return false
	}
	a, err := in.writer.Step(context.Background())
	switch {
	case err != nil:
		in.h.failed(in.slot, err)
	case a.Kind != task.NoAnswer:
		if a.Kind == task.SnapshotStored {
			in.slot.ticked = in.frozen
		}
		in.answers = append(in.answers, a)
	}
	return true
}

// answer passes the oldest answer of the log to the core.
func (in *instance) answer() bool {
	if len(in.answers) == 0 {
		return false
	}
	a := in.answers[0]
	in.answers = in.answers[1:]
	in.do(func() { in.core.Answered(a) })
	return true
}

// quiet reports whether the task has no input, no pending write and no answer to take.
func (in *instance) quiet() bool { return !in.works && !in.writer.Busy() && len(in.answers) == 0 }

// Send implements task.Env.
func (in *instance) Send(kind channel.Kind, to msgid.Alias, payload []byte) {
	_ = in.endpoint.Send(kind, to, payload) // it fails only for a task that has left
}

// Append implements task.Env.
func (in *instance) Append(era int, record []byte) { in.writer.Append(era, record) }

// Store implements task.Env.
func (in *instance) Store(era int, parts [][]byte, full bool) { in.writer.Store(era, parts, full) }

// do runs a part of the core, and notes how it ended.
func (in *instance) do(f func()) {
	if in.dead {
		return
	}
	err := in.guard(func() error {
		f()
		return in.core.Err()
	})
	if err != nil {
		in.h.failed(in.slot, err)
		return
	}
	if rec := &in.core.Status().Recovery; !rec.Restored || rec.CaughtUp {
		in.slot.failures = 0
	}
}

// guard turns a panic of the operator into an error.
func (in *instance) guard(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &bolt.PanicError{Alias: in.slot.task.Alias, Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// failed ends an incarnation that cannot continue, and the run with it, unless a restart is enough.
func (h *Harness) failed(s *slot, err error) {
	h.bury(s)
	var back *recovery.RollbackError
	var named *bolt.TupleError
	switch {
	case errors.As(err, &back):
	case bolt.IsOutage(err):
		s.restartAt = h.now.Add(min(5*time.Second, 10*time.Millisecond<<min(s.failures, 10)))
		s.failures++
	case errors.As(err, &named):
		h.err = err
	default:
		h.err = fmt.Errorf("task %v: %w", s.task.Alias, err)
	}
}

// bury ends a task's incarnation: its memory, and the messages on their way to it, are gone.
func (h *Harness) bury(s *slot) {
	in := s.live
	if in == nil {
		return
	}
	in.dead, s.live = true, nil
	s.lost = in.core.Lost()
	_ = in.endpoint.Leave() // it cannot fail
	in.cancel()
	_ = in.guard(in.core.Close)
}

// lost returns the counts of a task.
func (h *Harness) lost(s *slot) task.Lost {
	if s.live != nil {
		return s.live.core.Lost()
	}
	return s.lost
}

// describe returns the reason for which the task waits.
func (in *instance) describe() string {
	st := in.core.Status()
	text := fmt.Sprintf("%v: finished %v, done %v, replaying %v, retains %d bytes, has queued %d", in.slot.task.Alias, st.Finished, in.core.Done(), st.Replaying, st.Retained, st.Queued)
	if st.Blocked != recovery.NoOutput {
		text += fmt.Sprintf(", without credit on %v", in.slot.task.Out[st.Blocked].ID)
	}
	if st.Starved != recovery.NoInput {
		text += fmt.Sprintf(", waits for %v", in.slot.task.In[st.Starved].ID)
	}
	return text
}
