package bench

import (
	"context"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// WordCount is the topology lines → split → count → total. The total receives one tuple per distinct word when
// the input ends, and calls found with it.
func WordCount(lines spout.Source, parallel int, mode topology.Pessimism, found func(word []byte, n int64)) *topology.Builder {
	b := topology.New("wordcount")
	b.Spout("lines", lines).Fields("line")
	split := b.Bolt("split", func() bolt.Bolt { return words.Split{} }).Parallel(parallel).Shuffle("lines").Fields("word")
	if mode != topology.Optimistic {
		split.Nondeterministic(mode)
	}
	count(b, "split", parallel, found)
	return b
}

// count adds the counting of the words that an operator emits.
func count(b *topology.Builder, from string, parallel int, found func(word []byte, n int64)) {
	b.Bolt("count", func() bolt.Bolt { return &words.Count{} }).Parallel(parallel).GroupBy(from, "word").Fields("word", "n")
	b.Bolt("total", bolt.Func(func(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
		found(t.Bytes(0), t.Int(1))
		return nil
	})).Global("count")
}
