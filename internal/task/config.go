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
	Settings recovery.Config // bounds and delays of the strategy; what the plan says of the task is filled in

	// FrameSize is the length, in bytes, at which a frame is full. Default 16 KiB.
	FrameSize int
	// MaxPayload is the longest message that the transport carries, in bytes. Default 1 MiB.
	MaxPayload int
	// Linger is how long, in milliseconds, an open frame of a busy task may wait to become full. Default 1.
	Linger recovery.Tick
	// SmallState is the size of keyed state, in bytes, below which every snapshot is full. Default 256 KiB; a
	// negative one never is.
	SmallState int

	// Local says whether a task runs in the same worker, for local-or-shuffle grouping. It is asked every now and then,
	// from all tasks' goroutines. Default: all do.
	Local func(msgid.Alias) bool
	// LocalFor is for how many tuples of an edge what Local says is relied on. Default 16384.
	LocalFor uint64

	// Quiesce returns a number other than 0 when spouts are not to be polled and timers not to fire, so that the topology
	// comes to a standstill. A task that stands still tells the number; see Info. It is asked often, from all tasks'
	// goroutines. Default: they always are.
	Quiesce func() uint64

	Now  func() time.Time // the wall clock; default time.Now
	Rand func() uint64    // where ctx.Rand takes fresh values; default: a generator seeded by the system
	Log  *zap.Logger      // default: none

	Lost Lost  // the tuples given up by earlier incarnations of a task that keeps no log
	Seed *Seed // the state that the task begins with, unless its history has a snapshot; nil: none

	// OnLost is called for each tuple that is dropped or becomes a dead letter, also when a restored task repeats
	// that. It is called on the task's goroutine.
	OnLost func(GivenUp)
	// OnLatency is told, by a task without outputs, how old the roots of a consumed frame are at most.
	OnLatency func(time.Duration)
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
	cfg.FrameSize = min(cfg.FrameSize, cfg.MaxPayload)
}
