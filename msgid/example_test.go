package msgid_test

import (
	"fmt"

	"github.com/askback/askback/msgid"
)

// A restored task asks back what its source has released and it has not received.
func Example() {
	channel, err := msgid.ParseChannel("split.1>count.3")
	if err != nil {
		fmt.Println(err)
		return
	}
	var released, received msgid.Set
	released.Advance(channel, 60)
	received.Advance(channel, 16)
	received.Add(channel, msgid.Range{First: 43, Last: 44})

	ask := released.Minus(received)
	fmt.Println("ask", ask)
	fmt.Println(ask.Count(), "missed, from", ask.Of(channel).First())

	id, _ := msgid.ParseID("split.1>count.3#43")
	fmt.Println(id, "asked for:", ask.Contains(id))
	// Output:
	// ask split.1>count.3#17-42,45-60
	// 42 missed, from 17
	// split.1>count.3#43 asked for: false
}
