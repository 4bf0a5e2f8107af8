package channel_test

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// A source seals two frames; the second is lost; the target asks for the tuples that are missing below the mark.
func Example() {
	b := channel.NewBuilder(0xfeed, 7, 1, 1, 0, 16<<10)
	b.Append([]byte("\x91\xa3one")) // tuples of one string each
	b.Append([]byte("\x91\xa3two"))
	arrived := b.Seal()
	b.Append([]byte("\x91\xa5three"))
	lost := b.Seal()

	f, err := channel.Decode(arrived.Raw)
	fmt.Printf("#%d-%d %v\n", f.First, f.Last(), err)

	name := msgid.Channel{Source: msgid.Alias{Operator: "split", Index: 1}, Target: msgid.Alias{Operator: "count", Index: 3}}
	mark := channel.Signal{Kind: channel.Mark, Seq: lost.Last()}
	fmt.Println(mark.Describe(name))
	ask := channel.Signal{Kind: channel.Ask, Ranges: msgid.Ranges{{First: f.Last() + 1, Last: mark.Seq}}}
	fmt.Println(ask.Describe(name))
	fmt.Println("continues:", lost.Before == f.After)
	// Output:
	// #1-2 <nil>
	// MARK split.1>count.3#3
	// ASK split.1>count.3#3
	// continues: true
}
