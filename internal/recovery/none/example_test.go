package none_test

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/none"
	"github.com/askback/askback/msgid"
)

// The second of three frames is lost on the way. It is counted, and not asked for.
func Example() {
	in := msgid.Channel{Source: msgid.Alias{Operator: "lines"}, Target: msgid.Alias{Operator: "split"}}
	m, err := none.New(recovery.Config{Self: in.Target, Inputs: []recovery.Port{{Number: 3, ID: in}}}, recovery.History{Incarnation: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	var do recovery.Actions
	step := func(ev recovery.Event) {
		do.Reset()
		m.Step(ev, &do)
		for _, a := range do.List {
			if a.Kind == recovery.Deliver {
				fmt.Printf("deliver #%d\n", a.Frame.First)
			}
		}
	}

	step(recovery.Event{Kind: recovery.Started})
	source := channel.NewBuilder(0, 3, 1, 1, 0, 16<<10)
	for n := range 3 {
		source.Append([]byte("\x91\xa5hello"))
		if f := source.Seal(); n != 1 {
			step(recovery.Event{Kind: recovery.FrameReceived, Frame: f})
			step(recovery.Event{Kind: recovery.Ready})
			step(recovery.Event{Kind: recovery.Consumed})
		}
	}
	fmt.Println("lost", m.Status().Counters.Lost)
	// Output:
	// deliver #1
	// deliver #3
	// lost 1
}
