package acker

import (
	"github.com/askback/askback/recovery"
	"github.com/askback/askback/recovery/none"
)

// A Machine is the strategy of one task. New is the only way in. Frames travel as with package none; a spout's machine
// also says when its position is stored.
type Machine struct {
	recovery.Machine // the transport
	cfg              recovery.Config

	now     recovery.Tick
	nextAt  recovery.Tick // of the next snapshot
	dirty   bool          // something has happened since the last one
	urgent  bool          // the next one is the last, and somebody waits for it
	storing bool
	ended   bool
}

// New makes the machine of a task. It is a recovery.Factory; of the history only the incarnation counts.
func New(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
	transport, err := none.New(cfg, h)
	if err != nil {
		return nil, err
	}
	return &Machine{Machine: transport, cfg: cfg.Defaulted()}, nil
}

// Tracking implements recovery.Tracker.
func (m *Machine) Tracking() (maxPending int, timeout recovery.Tick) {
	return m.cfg.MaxPending, m.cfg.MessageTimeout
}

// Step implements recovery.Machine.
func (m *Machine) Step(ev recovery.Event, do *recovery.Actions) {
	switch ev.Kind {
	case recovery.Ticked:
		m.now = ev.Now
	case recovery.Sealed, recovery.Consumed:
		m.dirty = true
	case recovery.EndOfInput:
		if ev.Port < 0 {
			m.urgent = true
			return // a snapshot follows when the task is idle
		}
	case recovery.Ended:
		m.ended = true
	case recovery.Frozen:
		do.Add(recovery.Action{Kind: recovery.Store})
		return
	case recovery.Stored:
		m.storing = false
		return
	case recovery.StoreLost:
		m.storing, m.dirty, m.nextAt = false, true, 0
	}
	m.Machine.Step(ev, do)
	if (ev.Kind == recovery.Ticked || ev.Kind == recovery.Idle) && m.snapshotDue() {
		m.storing, m.dirty, m.urgent, m.nextAt = true, false, false, m.now+m.cfg.SnapshotEvery
		m.Machine.Status().Counters.Snapshots++
		do.Add(recovery.Action{Kind: recovery.Snapshot})
	}
}

// snapshotDue reports whether a spout's position is to be stored now. Other tasks keep no log.
func (m *Machine) snapshotDue() bool {
	return m.cfg.Spout && !m.storing && !m.ended && (m.urgent || m.dirty && m.now >= m.nextAt)
}

// Status implements recovery.Machine.
func (m *Machine) Status() *recovery.Status {
	s := m.Machine.Status()
	if m.cfg.Spout && m.dirty && !m.storing && !m.ended {
		if at := max(m.nextAt, m.now+1); s.Wake == 0 || at < s.Wake {
			s.Wake = at
		}
	}
	return s
}
