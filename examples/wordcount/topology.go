package main

import (
	"context"
	"sync/atomic"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// cutBetweenWords returns the longest prefix of b that does not end within a word: where a line of many megabytes
// may be cut.
func cutBetweenWords(b []byte) int {
	for n := len(b); n > 0; n-- {
		if !words.Is(b[n-1]) {
			return n
		}
	}
	return 0
}

// Result gathers the totals.
type Result struct{ n *state.Map[string, int64] }

func (r *Result) Prepare(ctx bolt.Context) (err error) {
	r.n, err = state.Open[string, int64](ctx, "result")
	return err
}

func (r *Result) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	*r.n.At(t.Bytes(0)) += t.Int(1)
	return nil
}

// wordcount builds the topology. The pointer holds the newest incarnation of the result, for the program to read
// after the run.
func wordcount(lines spout.Source, parallel int) (*topology.Builder, *atomic.Pointer[Result]) {
	var result atomic.Pointer[Result]
	b := counting(lines, parallel)
	b.Bolt("result", func() bolt.Bolt { r := &Result{}; result.Store(r); return r }).Global("count")
	return b, &result
}

// inCluster builds the topology that writes the totals to a file, which appears whole and once.
func inCluster(lines spout.Source, parallel int, out string) *topology.Builder {
	b := counting(lines, parallel)
	b.Bolt("result", files.Bolt(out, files.Single())).Global("count")
	return b
}

// counting is all but the result.
func counting(lines spout.Source, parallel int) *topology.Builder {
	b := topology.New("wordcount")
	b.Spout("lines", lines).Fields("line")
	b.Bolt("split", func() bolt.Bolt { return words.Split{} }).Parallel(parallel).Shuffle("lines").Fields("word")
	b.Bolt("count", func() bolt.Bolt { return &words.Count{} }).Parallel(parallel).GroupBy("split", "word").Fields("word", "n")
	return b
}
