package askback_test

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A topology runs on an embedded server, loses two of its tasks, and its result is as if nothing had happened.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	words := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		for word := range bytes.FieldsSeq(t.Bytes(0)) {
			if err := out.Row().Bytes(word).Emit(); err != nil {
				return err
			}
		}
		return nil
	})
	got := bolt.NewCollector()

	b := topology.New("example")
	b.Spout("lines", spout.Slice("to be or", "not to be")).Fields("line")
	b.Bolt("words", words).Shuffle("lines").Fields("word")
	b.Bolt("result", got.New).Global("words")
	report, err := askback.Run(ctx, b, faults.Kill(2, 1))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range got.Rows() {
		fmt.Print(row[0], " ")
	}
	fmt.Println("after", report.Kills, "kills")
	// Output: to be or not to be after 2 kills
}

// Run returns everything that is wrong with a topology before it starts anything.
func ExampleRun_wrong() {
	b := topology.New("wrong")
	b.Spout("lines", spout.Slice("a")).Fields("line")
	b.Bolt("sink", bolt.NewCollector().New).Global("line")
	_, err := askback.Run(context.Background(), b)
	fmt.Println(err)
	// Output: topology: operator "sink": stream "line": there is no operator "line": there are lines, sink
}
