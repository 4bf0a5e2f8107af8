package backtrack_test

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/backtrack"
	"github.com/askback/askback/msgid"
)

// A target receives the first and the third frame of a channel. It delivers the first, holds the third and asks for the
// tuples between; when those are resent, it delivers them and the third.
func Example() {
	name := msgid.Channel{Source: msgid.Alias{Operator: "split", Index: 1}, Target: msgid.Alias{Operator: "count", Index: 3}}
	m, err := backtrack.New(recovery.Config{
		Self:   name.Target,
		Inputs: []recovery.Port{{Number: 7, ID: name}},
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
			case recovery.Deliver:
				fmt.Printf("consume #%d-%d\n", a.Frame.First, a.Frame.Last())
			case recovery.Signal:
				fmt.Println("send", a.Signal.Describe(name))
			}
		}
		do.Reset()
	}
	work := func() {
		step(recovery.Event{Kind: recovery.Ready})
		step(recovery.Event{Kind: recovery.Consumed})
	}

	b := channel.NewBuilder(0, 7, 1, 1, 0, 16<<10)
	var frames []channel.Frame
	for range 3 {
		b.Append([]byte("\x91\xa4word"))
		b.Append([]byte("\x91\xa5other"))
		frames = append(frames, b.Seal())
	}

	step(recovery.Event{Kind: recovery.Started})
	step(recovery.Event{Kind: recovery.FrameReceived, Frame: frames[0]})
	work()
	step(recovery.Event{Kind: recovery.FrameReceived, Frame: frames[2]})
	step(recovery.Event{Kind: recovery.FrameReceived, Frame: frames[1], Replay: true})
	work()
	work()
	fmt.Printf("missed %d = replayed %d\n", m.Status().Counters.Missed, m.Status().Counters.Replayed)
	// Output:
	// send HELLO split.1>count.3 restored at #0
	// consume #1-2
	// send ASK split.1>count.3#3-4
	// consume #3-4
	// consume #5-6
	// missed 2 = replayed 2
}
