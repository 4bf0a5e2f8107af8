package task

import (
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// Config describes a task to its core. NewCore applies the defaults.
type Config struct {
	Plan     *topology.Plan
	Task     *topology.Task
	Strategy recovery.Factory
	Settings recovery.Config // bounds and delays of the strategy; the task's part of the plan is filled in

	// FrameSize is the length, in bytes, at which a frame is full. Default 16 KiB.
	FrameSize int
	// MaxPayload is the longest message that the transport carries, in bytes. Default 1 MiB.
	MaxPayload int
	// Linger is how long, in milliseconds, an open frame of a busy task may wait to become full. Default 1.
	Linger recovery.Tick
	// SmallState is the size of keyed state, in bytes, below which every snapshot is full. Default 256 KiB; a
	// negative one never is.
	SmallState int

	// Local reports whether a task runs in the same worker, for local-or-shuffle grouping. It is called now and then, from
	// all tasks' goroutines. Default: all do.
	Local func(msgid.Alias) bool
	// LocalFor is the number of tuples of an edge for which a result of Local is used. Default 16384.
	LocalFor uint64

	// Quiesce returns a number other than 0 when spouts are not to be polled and timers not to fire, so that the topology
	// comes to a standstill. A quiescent task reports the number; see Info. It is called often, from all tasks' goroutines.
	// Default: the topology always runs.
	Quiesce func() uint64

	Now  func() time.Time // the wall clock; default time.Now
	Rand func() uint64    // source of ctx.Rand's fresh values; default: a generator seeded by the system
	Log  *zap.Logger      // default: none

	Lost Lost  // the tuples given up by earlier incarnations of a task that keeps no log
	Seed *Seed // the state that the task begins with, unless its history has a snapshot; nil: none

	// OnLost is called for each tuple that is dropped or becomes a dead letter, also when a restored task repeats
	// that. It is called on the task's goroutine.
	OnLost func(GivenUp)
	// OnLatency is called by a task without outputs, with the largest age of the roots of a consumed frame.
	OnLatency func(time.Duration)
}

// mostReceived returns how many bytes a target holds at the most before its operator has consumed them. A longer frame
// would be dropped at each resend, for ever.
func (cfg *Config) mostReceived() int {
	s := cfg.Settings.Defaulted()
	return s.HardBound + 4*s.Window
}

func (cfg *Config) applyDefaults() {
	if cfg.FrameSize == 0 {
		cfg.FrameSize = 16 << 10
	}
	if cfg.MaxPayload == 0 {
		cfg.MaxPayload = 1 << 20
	}
	if cfg.Linger == 0 {
		cfg.Linger = 1
	}
	if cfg.SmallState == 0 {
		cfg.SmallState = 256 << 10
	}
	if cfg.Local == nil {
		cfg.Local = func(msgid.Alias) bool { return true }
	}
	if cfg.LocalFor == 0 {
		cfg.LocalFor = 16 << 10
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Rand == nil {
		cfg.Rand = systemRand
	}
	if cfg.Log == nil {
		cfg.Log = zap.NewNop()
	}
	cfg.MaxPayload = min(cfg.MaxPayload, cfg.mostReceived())
	cfg.FrameSize = min(cfg.FrameSize, cfg.MaxPayload)
}
