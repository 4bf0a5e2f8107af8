package acker

import (
	"fmt"

	"github.com/askback/askback/internal/recovery"
)

// A Machine is the strategy of one task. Over is the only way in.
type Machine struct {
	recovery.Machine // has frames travel
	cfg              recovery.Config

	now       recovery.Tick
	nextAt    recovery.Tick // of the next snapshot
	dirty     bool          // something has happened since the last one
	urgent    bool          // the next one is the last, and is taken when the task is idle
	uploading bool
	ended     bool
}

// Over returns the factory of machines over those of another strategy, which have frames travel. That one need keep
// nothing and repeat nothing (package none), but must bound what is on its way.
func Over(transport recovery.Factory) recovery.Factory {
	return func(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
		if cfg.MaxPending < 0 {
			return nil, fmt.Errorf("acker: MaxPending is %d: want 1 or more, or 0 for the default", cfg.MaxPending)
		}
		below, err := transport(cfg, h)
		if err != nil {
			return nil, err
		}
		return &Machine{Machine: below, cfg: cfg.Defaulted()}, nil
	}
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
		if ev.Input == recovery.NoInput {
			m.urgent = true
			return // a snapshot follows when the task is idle
		}
	case recovery.Ended:
		m.ended = true
	case recovery.Frozen:
		do.Add(recovery.Action{Kind: recovery.Upload})
		return
	case recovery.Uploaded:
		m.uploading = false
		return
	case recovery.LogLost:
		m.uploading, m.dirty, m.nextAt = false, true, 0
	}
	m.Machine.Step(ev, do)
	if (ev.Kind == recovery.Ticked || ev.Kind == recovery.Idle) && m.snapshotDue() {
		m.uploading, m.dirty, m.urgent, m.nextAt = true, false, false, m.now+m.cfg.SnapshotEvery
		m.Machine.Status().Counters.Snapshots++
		do.Add(recovery.Action{Kind: recovery.Freeze})
	}
}

// snapshotDue reports whether a spout's position is to be stored now. Other tasks keep no log.
func (m *Machine) snapshotDue() bool {
	return m.cfg.Spout && !m.uploading && !m.ended && (m.urgent || m.dirty && m.now >= m.nextAt)
}

// Status implements recovery.Machine.
func (m *Machine) Status() *recovery.Status {
	s := m.Machine.Status()
	if m.cfg.Spout && m.dirty && !m.uploading && !m.ended {
		if at := max(m.nextAt, m.now+1); s.Wake == 0 || at < s.Wake {
			s.Wake = at
		}
	}
	return s
}
