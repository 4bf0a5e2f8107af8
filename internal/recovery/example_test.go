package recovery_test

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/none"
	"github.com/askback/askback/msgid"
)

// A task in its shortest form: one event in, all actions performed in order, and so on. This one is a spout with one
// target; a real one sends the frames over a network.
func Example() {
	out := msgid.Channel{Source: msgid.Alias{Operator: "lines"}, Target: msgid.Alias{Operator: "split"}}
	m, err := none.New(recovery.Config{
		Self: out.Source, Spout: true,
		Outputs: []recovery.Port{{Number: 3, ID: out}},
	}, recovery.History{Incarnation: 1})
	if err != nil {
		fmt.Println(err)
		return
	}

	open := channel.NewBuilder(0, 3, 1, 1, 0, 16<<10)
	var do recovery.Actions
	step := func(ev recovery.Event) {
		m.Step(ev, &do)
		for i := 0; i < len(do.List); i++ { // performing one may report events, whose actions queue up behind
			switch a := do.List[i]; a.Kind {
			case recovery.Poll:
				open.Append([]byte("\x91\xa5hello")) // the operator runs
				m.Step(recovery.Event{Kind: recovery.Sealed, Frame: open.Seal()}, &do)
				m.Step(recovery.Event{Kind: recovery.Consumed}, &do)
			case recovery.Publish:
				fmt.Printf("publish #%d-%d\n", a.Frame.First, a.Frame.Last())
			case recovery.Signal:
				fmt.Println("send", a.Signal.Describe(out))
			}
		}
		do.Reset()
	}

	step(recovery.Event{Kind: recovery.Started})
	step(recovery.Event{Kind: recovery.SignalReceived, Signal: channel.Signal{Kind: channel.Hello, Incarnation: 1}})
	step(recovery.Event{Kind: recovery.Ready})
	fmt.Println("wake me at", m.Status().Wake)
	step(recovery.Event{Kind: recovery.Ticked, Now: m.Status().Wake})
	// Output:
	// send MARK lines.0>split.0#0 (greet)
	// send MARK lines.0>split.0#0 for incarnation 1
	// publish #1-1
	// wake me at 20
	// send MARK lines.0>split.0#1
}
