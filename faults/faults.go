// Package faults is a test kit: it kills tasks of a local run, as crashes would, to show that a topology survives them.
// Its functions make options for askback.Run. A program in production has no use for it.
//
//	report, err := askback.Run(ctx, t, faults.Kill(3, 1))
//
// Command lines of package cli have the same as --kill.
package faults

import (
	"github.com/askback/askback"
	"github.com/askback/askback/internal/inject"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// Kill kills n random tasks while the topology runs, spread over the progress of its spouts, as a crash would: state and
// buffers are dropped. Equal seeds choose equal tasks. The spouts pause for each kill, so all of them happen however
// short the input is; of spouts that do not know how much input there is the kills come at once, one after another.
// Report.Kills counts them.
func Kill(n int, seed uint64) askback.Option {
	return option(func(f *inject.Faults) { f.Kills, f.Pairs, f.Seed = n, false, seed })
}

// KillPairs is Kill, with each task killed together with one of its sources, so that a restored task asks a source that
// has lost its buffers, too.
func KillPairs(n int, seed uint64) askback.Option {
	return option(func(f *inject.Faults) { f.Kills, f.Pairs, f.Seed = n, true, seed })
}

// Control calls f with the controller of the run when its tasks are about to start. F must not block.
func Control(f func(*Controller)) askback.Option {
	return option(func(in *inject.Faults) {
		in.Started = append(in.Started, func(r inject.Run) { f(&Controller{r}) })
	})
}

// A Controller kills tasks of a run by name. Its methods may be called from any goroutine until askback.Run returns.
type Controller struct{ run inject.Run }

// Plan returns what runs.
func (c *Controller) Plan() *topology.Plan { return c.run.Plan() }

// Kill ends a task as a crash would: its state and buffers are dropped, and its next incarnation starts at once. It
// reports whether there was one to kill.
func (c *Controller) Kill(alias msgid.Alias) bool { return c.run.Kill(alias) }

func option(set func(*inject.Faults)) askback.Option { return inject.Option(set).(askback.Option) }
