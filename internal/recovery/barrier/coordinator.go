package barrier

import (
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// A Coordinator is the machine of the coordinator's task. It opens epochs, begins checkpoints, and commits those
// that every task has. New is the only way in.
//
//	opening ── epoch durable ──► gathering ── all tasks fresh ──► running ── a task has started again ──► opening …
//
// Each notice follows from its state, and is repeated until each task has answered, so it may be lost, and a duplicate is
// harmless.
type Coordinator struct {
	cfg recovery.Config
	now recovery.Tick
	do  *recovery.Actions
	bug Bug

	decision // durable, but for the epoch while it is opening
	phase    phase
	begun    wave     // the newest checkpoint of this epoch
	deciding bool     // the log has yet to answer
	captured decision // the one that is being written to the log
	culprit  uint32   // 1 + the channel of the task that this epoch began for; 0: this coordinator
	crashed  uint32   // the same, of a task that has started again while a checkpoint was being committed; 0: none

	members  []member // by input
	notifyAt recovery.Tick
	delay    recovery.Tick
	beginAt  recovery.Tick
	done     bool
	status   recovery.Status
}

type phase uint8

const (
	opening phase = iota
	gathering
	running
)

// A member is the state of a task as last reported to the coordinator.
type member struct {
	incarnation msgid.Incarnation // the highest seen
	fresh       bool              // it is restored from the committed checkpoint, and in no epoch
	stored      wave
	committed   bool // it has confirmed the commit of stored
	finished    bool // its operator has finished
	ended       bool // before the barrier of stored
	at          recovery.Position
}

func newCoordinator(cfg recovery.Config, h recovery.History, bug Bug) (*Coordinator, error) {
	m := &Coordinator{cfg: cfg, bug: bug, members: make([]member, len(cfg.Inputs))}
	if n := len(h.Chain); n > 0 {
		var err error
		if m.decision, err = decodeDecision(h.Chain[n-1]); err != nil {
			return nil, err
		}
	}
	m.status.Inputs = make([]recovery.Position, len(cfg.Inputs))
	m.status.Outputs = make([]recovery.Position, len(cfg.Outputs))
	m.status.Recovery.Restored = h.Incarnation > 1
	return m, nil
}

// Step implements recovery.Machine.
func (m *Coordinator) Step(ev recovery.Event, do *recovery.Actions) {
	m.do = do
	switch ev.Kind {
	case recovery.Started:
		m.onStarted()
	case recovery.Ticked:
		m.now = ev.Now
		m.onTick()
	case recovery.SignalReceived:
		if ev.Signal.Kind == channel.Mark {
			m.onReport(int(ev.Input), &ev.Signal)
		}
	case recovery.Frozen:
		m.do.Add(recovery.Action{Kind: recovery.Upload})
	case recovery.Uploaded:
		m.onUploaded()
	case recovery.LogLost:
		// The log does not hold its decisions any more. Its next incarnation continues from those that are there.
		m.do.Add(recovery.Action{Kind: recovery.Fail, Err: &recovery.RollbackError{
			Alias: m.cfg.Self, To: m.committed.String(),
		}})
	}
	m.do = nil
}

// onStarted: the pending checkpoint is lost, and so are the reports of the tasks that have it. So the coordinator opens an
// epoch, as after the failure of any other task, unless the topology has ended.
func (m *Coordinator) onStarted() {
	if !m.final {
		m.open(0)
		return
	}
	m.phase, m.begun = running, m.committed
	m.announce()
}

// open begins a new epoch: the pending checkpoint is given up, and all tasks go back to the one before (E1).
func (m *Coordinator) open(culprit uint32) {
	m.phase, m.culprit, m.crashed = opening, culprit, 0
	m.epoch++
	m.begun = waveOf(m.epoch, 0)
	for i, x := range m.members {
		m.members[i] = member{incarnation: x.incarnation, at: x.at}
	}
	m.decide()
}

// decide writes the epoch, or the decision that a checkpoint is committed, to the log (B5).
func (m *Coordinator) decide() {
	m.deciding, m.captured = true, m.decision
	if m.phase == running {
		m.captured.committed, m.captured.final = m.begun, m.over()
	}
	m.do.Add(recovery.Action{Kind: recovery.Freeze, Full: true})
}

// Capture implements recovery.Machine.
func (m *Coordinator) Capture(dst []byte, _ bool) []byte { return m.captured.append(dst) }

func (m *Coordinator) onUploaded() {
	if !m.deciding {
		return
	}
	m.deciding = false
	m.decision = m.captured
	m.status.Counters.Snapshots++
	switch {
	case m.phase == opening:
		m.phase = gathering
		m.announce()
		m.gathered()
	case m.crashed != 0 && !m.final:
		m.open(m.crashed)
	default:
		m.beginAt = m.now + m.cfg.SnapshotEvery
		m.announce()
	}
}

func (m *Coordinator) onTick() {
	if m.phase == running && !m.final && !m.deciding && !m.pending() && m.now >= m.beginAt {
		m.begin()
	}
	if m.phase != opening && m.now >= m.notifyAt {
		m.notifyAll()
	}
}

// begin begins a checkpoint, if every task has confirmed the last one's commit: the next barrier must not reach a sink
// before the sink has made the output of the last one visible (B4).
func (m *Coordinator) begin() {
	if m.answered() {
		m.begun++
		m.announce()
	}
}

// finish lets the coordinator be done when every task has reported that it is.
func (m *Coordinator) finish() {
	if !m.done && m.answered() {
		m.done = true
		m.do.Add(recovery.Action{Kind: recovery.Done})
	}
}

// pending reports whether a checkpoint is begun and not committed.
func (m *Coordinator) pending() bool { return m.begun.number() > 0 && m.begun != m.committed }

// onReport takes a task's report of its state.
func (m *Coordinator) onReport(i int, sig *channel.Signal) {
	x := &m.members[i]
	w := wave(sig.Wave)
	if sig.Incarnation < x.incarnation {
		m.status.Counters.Rejected++
		return
	}
	x.at = recovery.Position{Seq: sig.Seq, Sum: sig.Sum}
	if sig.Flags&channel.Greet != 0 {
		m.onFresh(i, sig.Incarnation, w)
		return
	}
	if w.epoch() != m.epoch {
		if w.epoch() < m.epoch && !m.final && m.phase == gathering {
			m.notify(i) // it is to roll back
		}
		return
	}
	x.incarnation = sig.Incarnation
	x.stored, x.committed = w, sig.Flags&channel.Committed != 0
	x.finished, x.ended = sig.Flags&channel.Urge != 0, sig.Flags&channel.Ended != 0
	switch {
	case m.phase != running || m.deciding:
	case m.final:
		m.finish()
	case m.pending() && m.answered():
		m.decide()
	case !m.pending() && m.finished():
		m.begin()
	}
}

// onFresh: a task has been restored from a checkpoint. If it was in the running epoch, all go back.
func (m *Coordinator) onFresh(i int, inc msgid.Incarnation, from wave) {
	x := &m.members[i]
	again := inc > x.incarnation
	switch {
	case m.deciding && m.phase == running:
		if again { // the committed checkpoint is being decided on: the task will report again
			m.crashed = 1 + m.cfg.Inputs[i].Number
		}
		return
	case from > m.committed: // it has read a newer decision than this coordinator, which has been superseded
		return
	case m.final:
		x.incarnation = inc
		m.notify(i)
		return
	case m.phase == running && !again: // the notice that the epoch runs was lost
		m.notify(i)
		return
	case m.phase == running && m.bug == LonelyRollback && from == m.committed:
		x.incarnation, x.stored = inc, 0
		m.notify(i)
		return
	case m.phase == running:
		m.open(1 + m.cfg.Inputs[i].Number)
	}
	x.incarnation, x.fresh = inc, from == m.committed
	if !x.fresh && m.phase == gathering {
		m.notify(i)
	}
	m.gathered()
}

// gathered lets the epoch run when every task is fresh (E2).
func (m *Coordinator) gathered() {
	if m.phase != gathering {
		return
	}
	for i := range m.members {
		if !m.members[i].fresh {
			return
		}
	}
	m.phase = running
	m.beginAt = m.now + m.cfg.SnapshotEvery
	m.status.Recovery.CaughtUp = m.status.Recovery.Restored
	m.announce()
}

// announce notifies every task of a new state.
func (m *Coordinator) announce() {
	m.delay = 0
	m.notifyAll()
}

// notifyAll notifies every task that has not answered yet.
func (m *Coordinator) notifyAll() {
	for i := range m.members {
		if !m.acknowledged(i) {
			m.notify(i)
		}
	}
	m.delay = recovery.Backoff(m.delay, m.cfg.RetryEvery, m.cfg.RetryMax)
	m.notifyAt = m.now + m.delay
}

// notify sends one task the state of the epoch: HELLO while it gathers, ACK when it runs. Wave is the newest barrier, Seq
// the checkpoint that all go back to, Have, of HELLO, the task whose restart opened the epoch. For is the incarnation that
// belongs to the epoch, though it is still fresh.
func (m *Coordinator) notify(i int) {
	x := &m.members[i]
	sig := channel.Signal{
		Kind: channel.Ack, Plan: m.cfg.Plan, Channel: m.cfg.Inputs[i].Number, Incarnation: m.cfg.Incarnation,
		For: x.incarnation, Wave: uint64(m.begun), Seq: msgid.Seq(m.committed),
	}
	if m.phase == gathering {
		sig.Kind, sig.Have = channel.Hello, msgid.Seq(m.culprit)
	} else if !m.pending() {
		sig.Flags |= channel.Committed
	}
	if m.final {
		sig.Flags |= channel.Ended
	}
	m.do.Add(recovery.Action{Kind: recovery.Signal, Input: recovery.Input(i), Signal: sig})
}

// acknowledged reports whether a task has answered the notice of this state.
func (m *Coordinator) acknowledged(i int) bool {
	x := &m.members[i]
	if m.phase == gathering {
		return x.fresh
	}
	return x.stored == m.begun && x.committed == !m.pending()
}

// answered reports whether every task has.
func (m *Coordinator) answered() bool {
	missing := 0
	for i := range m.members {
		if !m.acknowledged(i) {
			missing++
		}
	}
	return missing == 0 || missing == 1 && m.pending() && m.bug == MissingReport
}

// finished reports whether all operators have: the next checkpoint is the last.
func (m *Coordinator) finished() bool {
	for i := range m.members {
		if !m.members[i].finished {
			return false
		}
	}
	return true
}

// over reports whether all operators had finished when the checkpoint was taken: then it is the last (B7).
func (m *Coordinator) over() bool {
	for i := range m.members {
		if !m.members[i].ended {
			return false
		}
	}
	return true
}

// Status implements recovery.Machine.
func (m *Coordinator) Status() *recovery.Status {
	s := &m.status
	s.Blocked, s.Starved, s.Finished, s.Wake = recovery.NoOutput, recovery.NoInput, m.final, 0
	sooner := func(t recovery.Tick) {
		s.Wake = recovery.Sooner(s.Wake, max(t, m.now+1))
	}
	for i := range m.members {
		s.Inputs[i] = m.members[i].at
		if m.phase != opening && !m.acknowledged(i) {
			sooner(m.notifyAt)
		}
	}
	if m.phase == running && !m.final && !m.pending() && !m.deciding {
		sooner(max(m.beginAt, m.notifyAt))
		if m.answered() {
			s.Wake = max(m.beginAt, m.now+1)
		}
	}
	return s
}
