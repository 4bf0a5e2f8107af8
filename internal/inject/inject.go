package inject

import (
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// Option makes an askback.Option of a change to the faults of a run. Package askback sets it when the program starts.
var Option func(set func(*Faults)) any

// Faults are what is done to a run. The zero value does nothing.
type Faults struct {
	Kills int    // how many times to kill a random task; see Chaos
	Pairs bool   // each time together with one of its sources
	Seed  uint64 // chooses the tasks

	// Started is called with the run when its tasks are about to start. It must not block.
	Started []func(Run)
}

// A Run is a running topology. Its methods may be called from any goroutine until askback.Run returns.
type Run interface {
	Plan() *topology.Plan
	// Tasks returns how each task stands, in the order of the plan.
	Tasks() []executor.Info
	// Kill ends a task as a crash would: its state and buffers are dropped, and its next incarnation starts at once. It
	// reports whether there was one to kill.
	Kill(msgid.Alias) bool
	// Traffic returns what the transport has counted so far.
	Traffic() natschan.Stats
	// Logged returns how many messages went to the log so far, and their bytes.
	Logged() (messages, bytes uint64)
}
