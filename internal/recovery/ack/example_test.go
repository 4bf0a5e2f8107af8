package ack_test

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/ack"
	"github.com/askback/askback/msgid"
)

// A source has emitted three tuples in one frame. It sends each when the one before is acknowledged.
func Example() {
	name := msgid.Channel{Source: msgid.Alias{Operator: "split"}, Target: msgid.Alias{Operator: "count"}}
	m, err := ack.New(recovery.Config{
		Self: name.Source, Outputs: []recovery.Port{{Number: 7, ID: name}},
	}, recovery.History{Incarnation: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	var do recovery.Actions
	step := func(ev recovery.Event) {
		m.Step(ev, &do)
		for _, a := range do.List {
			if a.Kind == recovery.Publish {
				fmt.Printf("publish #%d-%d\n", a.Frame.First, a.Frame.Last())
			}
		}
		do.Reset()
	}
	hear := func(consumed msgid.Seq) {
		fmt.Printf("ACK #%d\n", consumed)
		step(recovery.Event{Kind: recovery.SignalReceived, Signal: channel.Signal{
			Kind: channel.Ack, Channel: 7, Incarnation: 1, For: 1, Have: consumed, Consumed: consumed,
		}})
	}

	b := channel.NewBuilder(0, 7, 1, 1, 0, 16<<10)
	for range 3 {
		b.Append([]byte("\x91\xa4word"))
	}
	step(recovery.Event{Kind: recovery.Started})
	step(recovery.Event{Kind: recovery.Sealed, Frame: b.Seal()})
	hear(0)
	hear(1)
	hear(2)
	// Output:
	// ACK #0
	// publish #1-1
	// ACK #1
	// publish #2-2
	// ACK #2
	// publish #3-3
}
