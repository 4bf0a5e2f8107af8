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
// the input ends; found is told each.
func WordCount(lines spout.Source, parallel int, mode topology.Pessimism, found func(word []byte, n int64)) *topology.Builder {
	b := topology.New("wordcount")
	b.Spout("lines", lines).Fields("line")
	split := b.Bolt("split", func() bolt.Bolt { return words.Split{} }).Parallel(parallel).Shuffle("lines").Fields("word")
	if mode != topology.Optimistic {
		split.Nondeterministic(mode)
	}
	b.Bolt("count", func() bolt.Bolt { return &words.Count{} }).Parallel(parallel).GroupBy("split", "word").Fields("word", "n")
	b.Bolt("total", bolt.Func(func(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
		found(t.Bytes(0), t.Int(1))
		return nil
	})).Global("count")
	return b
}
