package worker

import (
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/recovery"
)

// settingsOf returns the settings of a strategy as a Spec carries them.
func settingsOf(c *recovery.Config) cluster.Settings {
	return cluster.Settings{
		Window: c.Window, SoftBound: c.SoftBound, HardBound: c.HardBound, SnapshotEvery: int64(c.SnapshotEvery),
		RetryEvery: int64(c.RetryEvery), RetryMax: int64(c.RetryMax), AckWindow: c.AckWindow,
		MarkEvery: int64(c.MarkEvery), MarkMax: int64(c.MarkMax), MaxPending: c.MaxPending, MessageTimeout: int64(c.MessageTimeout),
	}
}

// configOf returns the settings of a Spec for a strategy.
func configOf(s *cluster.Settings) recovery.Config {
	return recovery.Config{
		Window: s.Window, SoftBound: s.SoftBound, HardBound: s.HardBound, SnapshotEvery: recovery.Tick(s.SnapshotEvery),
		RetryEvery: recovery.Tick(s.RetryEvery), RetryMax: recovery.Tick(s.RetryMax), AckWindow: s.AckWindow,
		MarkEvery: recovery.Tick(s.MarkEvery), MarkMax: recovery.Tick(s.MarkMax), MaxPending: s.MaxPending,
		MessageTimeout: recovery.Tick(s.MessageTimeout),
	}
}
