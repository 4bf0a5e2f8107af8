package acker

import (
	"fmt"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/acker/tracking"
)

// A Machine is the strategy of one task. Over is the only way in.
type Machine struct {
	recovery.Machine // transports the frames
	cfg              recovery.Config
	tracker          *tracking.Tracker

	now       recovery.Tick
	nextAt    recovery.Tick // of the next snapshot
	dirty     bool          // the spout has worked since the last one
	uploading bool
	last      bool // the snapshot that is uploading was taken when the spout's input was drained
	ended     bool
}

// Over returns the factory of machines over those of another strategy, which transport the frames. They need not retain or
// repeat frames (package none does neither), but must bound the frames on their way.
func Over(transport recovery.Factory) recovery.Factory {
	return func(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
		if cfg.MaxPending < 0 {
			return nil, fmt.Errorf("acker: MaxPending is %d: want 1 or more, or 0 for the default", cfg.MaxPending)
		}
		below, err := transport(cfg, h)
		if err != nil {
			return nil, err
		}
		m := &Machine{Machine: below, cfg: cfg.Defaulted()}
		m.tracker = tracking.New(&m.cfg)
		return m, nil
	}
}

// Tracker implements tracking.Machine.
func (m *Machine) Tracker() *tracking.Tracker { return m.tracker }

// Step implements recovery.Machine.
func (m *Machine) Step(ev recovery.Event, do *recovery.Actions) {
	switch ev.Kind {
	case recovery.Ticked:
		m.now = ev.Now
	case recovery.Sealed, recovery.Consumed:
		m.dirty = true
	case recovery.Ended:
		m.ended = true
	case recovery.Frozen:
		m.last = m.drained()
		do.Add(recovery.Action{Kind: recovery.Upload})
		return
	case recovery.Uploaded:
		m.uploading = false
		if m.last {
			m.tracker.Pending().Stored()
		}
		return
	case recovery.LogLost:
		m.uploading, m.dirty, m.nextAt = false, true, 0
	}
	m.Machine.Step(ev, do)
	if (ev.Kind == recovery.Ticked || ev.Kind == recovery.Idle) && m.snapshotDue() {
		m.uploading, m.dirty, m.nextAt = true, false, m.now+m.cfg.SnapshotEvery
		m.Machine.Status().Counters.Snapshots++
		do.Add(recovery.Action{Kind: recovery.Freeze})
	}
}

// snapshotDue reports whether a spout's position is to be stored now. Other tasks keep no log.
func (m *Machine) snapshotDue() bool {
	return m.cfg.Spout && !m.uploading && !m.ended && (m.drained() || m.dirty && m.now >= m.nextAt)
}

// drained reports whether the next snapshot is the last one, which the end of the spout's channels waits for.
func (m *Machine) drained() bool { return m.cfg.Spout && m.tracker.Pending().Drained() }

// Status implements recovery.Machine.
func (m *Machine) Status() *recovery.Status {
	s := m.Machine.Status()
	if !m.cfg.Spout {
		return s
	}
	sooner := func(at recovery.Tick) {
		if at = max(at, m.now+1); s.Wake == 0 || at < s.Wake {
			s.Wake = at
		}
	}
	if m.dirty && !m.uploading && !m.ended {
		sooner(m.nextAt)
	}
	p := m.tracker.Pending()
	if at := p.DueAt(); at != 0 {
		sooner(at)
	}
	s.Retained += p.Bytes()
	return s
}
