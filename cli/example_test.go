package cli_test

import (
	"context"
	"flag"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/cli"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A program with a flag of its own, --parallel, beside those that every program has.
func ExampleProgram() {
	var parallel int
	cli.Program{
		About: "Prints words.",
		Args:  "word ...",
		Flags: func(f *flag.FlagSet) { f.IntVar(&parallel, "parallel", 2, "`tasks` that print") },
		Build: func(words []string) (topology.Topology, error) {
			b := topology.New("words")
			b.Spout("words", spout.Slice(words...)).Fields("word")
			b.Bolt("print", bolt.Func(func(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
				println(t.String(0))
				return nil
			})).Parallel(parallel).Shuffle("words")
			return b, nil
		},
	}.Main()
}
