// First is the README's topology: it counts the words of the .go files below the current directory, loses three of
// its tasks on the way, and writes the counts to words.txt, each word once.
package main

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/state"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Split emits the words of a line.
func Split(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	for word := range bytes.FieldsSeq(t.Bytes(0)) {
		if err := out.Row().Bytes(word).Emit(); err != nil {
			return err
		}
	}
	return nil
}

// Count keeps a counter per word, and emits the totals when its input ends.
type Count struct{ n *state.Map[string, int64] }

func (c *Count) Prepare(ctx bolt.Context) (err error) {
	c.n, err = state.Open[string, int64](ctx, "counts")
	return err
}

func (c *Count) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	*c.n.At(t.Bytes(0))++ // found by its bytes, without allocating
	return nil
}

func (c *Count) Finish(_ context.Context, out bolt.Emitter) error {
	for word, n := range c.n.All() { // in a fixed order: a replay must repeat it
		if err := out.Row().String(word).Int(n).Emit(); err != nil {
			return err
		}
	}
	return nil
}

func main() {
	b := topology.New("first")
	b.Spout("lines", files.Spout("**/*.go")).Fields("line")
	b.Bolt("split", bolt.Func(Split)).Parallel(2).Shuffle("lines").Fields("word")
	b.Bolt("count", func() bolt.Bolt { return &Count{} }).Parallel(2).GroupBy("split", "word").Fields("word", "n")
	b.Bolt("words", files.Bolt("words.txt", files.Single())).Global("count")

	report, err := askback.Run(context.Background(), b, faults.Kill(3, 1))
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range report.Recoveries {
		fmt.Printf("%v was killed and asked for %v: missed %d, replayed %d\n", r.Alias, r.Asked, r.Missed, r.Replayed)
	}
}
