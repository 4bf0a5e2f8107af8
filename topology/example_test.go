package topology_test

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Empty is a spout without input, Drop a bolt without effect: they stand for yours.
type (
	Empty struct{}
	Drop  struct{}
)

func (Empty) Next(context.Context, spout.Emitter) error               { return io.EOF }
func (Empty) Position(dst []byte) []byte                              { return dst }
func (Empty) Seek([]byte) error                                       { return nil }
func (Drop) Execute(context.Context, tuple.Tuple, bolt.Emitter) error { return nil }

func Example() {
	lines := spout.Func(func() spout.Spout { return Empty{} })
	drop := func() bolt.Bolt { return Drop{} }

	b := topology.New("wordcount")
	b.Spout("lines", lines).Fields("line")
	b.Bolt("split", drop).Parallel(2).Shuffle("lines").Fields("word")
	b.Bolt("count", drop).Parallel(2).GroupBy("split", "word").Fields("word", "n")
	b.Bolt("top", drop).Global("count")
	plan, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(plan)
	for _, c := range plan.Operator("count").Tasks[1].In {
		fmt.Println(c.Number, c.ID)
	}
	// Output:
	// wordcount  4 operators, 6 tasks, 8 channels, version b8cae6b78fa6e732
	//
	// operator  kind   tasks  reads                channels  emits
	// lines     spout  1                                     line
	// split     bolt   2      lines shuffle        2         word
	// count     bolt   2      split group by word  4         word, n
	// top       bolt   1      count global         2
	// 3 split.0>count.1
	// 5 split.1>count.1
}

// Build reports all errors at once. Each error names its place, for programs too.
func ExampleError() {
	drop := func() bolt.Bolt { return Drop{} }

	b := topology.New("wordcount")
	b.Spout("lines", spout.Func(func() spout.Spout { return Empty{} })).Fields("line")
	b.Bolt("split", drop).Shuffle("line").Fields("word")
	b.Bolt("count", drop).GroupBy("split", "words").Parallel(0)
	err := b.Validate()
	fmt.Println(err)

	var first *topology.Error
	if errors.As(err, &first) {
		fmt.Println("look at", first.Operator)
	}
	// Output:
	// topology: operator "count": Parallel(0): take 1 to 4096
	// topology: operator "split": stream "line": there is no operator "line": there are lines, split, count
	// topology: operator "count": stream "split": field "words": the stream has no such field to group by: it has word
	// look at count
}
