package barrier_test

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/barrier"
	"github.com/askback/askback/msgid"
)

// The coordinator of a topology with one task: it opens an epoch when the task has reported, begins a checkpoint, and
// commits it when the task has its snapshot.
func Example() {
	reports := msgid.Channel{Source: msgid.Alias{Operator: "lines"}, Target: msgid.Alias{Operator: barrier.Operator}}
	m, err := barrier.New(recovery.Config{
		Self: reports.Target, Inputs: []recovery.Port{{Number: 0, ID: reports}},
	}, recovery.History{Incarnation: 1})
	if err != nil {
		fmt.Println(err)
		return
	}

	var do recovery.Actions
	step := func(ev recovery.Event) {
		m.Step(ev, &do)
		for _, a := range do.List {
			switch a.Kind {
			case recovery.Freeze:
				fmt.Println("store a decision")
			case recovery.Signal:
				fmt.Printf("say %v, wave %d.%d (%v)\n", a.Signal.Kind, a.Signal.Wave>>32, uint32(a.Signal.Wave), a.Signal.Flags)
			}
		}
		do.Reset()
	}
	report := func(wave uint64, flags channel.SignalFlags) {
		fmt.Printf("the task reports %d.%d (%v)\n", wave>>32, uint32(wave), flags)
		step(recovery.Event{Kind: recovery.SignalReceived, Signal: channel.Signal{Kind: channel.Mark, Incarnation: 1, Wave: wave, Flags: flags}})
	}

	step(recovery.Event{Kind: recovery.Started})
	step(recovery.Event{Kind: recovery.Uploaded})
	report(0, channel.Greet)
	report(1<<32, channel.Committed)
	step(recovery.Event{Kind: recovery.Ticked, Now: 1000})
	report(1<<32+1, 0)
	step(recovery.Event{Kind: recovery.Uploaded})
	// Output:
	// store a decision
	// say HELLO, wave 1.0 ()
	// the task reports 0.0 (greet)
	// say ACK, wave 1.0 (committed)
	// the task reports 1.0 (committed)
	// say ACK, wave 1.1 ()
	// the task reports 1.1 ()
	// store a decision
	// say ACK, wave 1.1 (committed)
}
