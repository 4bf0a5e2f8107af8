package worker_test

import (
	"fmt"

	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/internal/cluster/worker"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/topology"
)

// A program describes itself to nimbus, which places the tasks.
func ExampleDescribe() {
	b := topology.New("upper")
	b.Spout("lines", files.Spout("/var/log/*.txt")).Parallel(2).Fields("line")
	b.Bolt("out", files.Bolt("/shared/out")).Shuffle("lines").CPU(50)
	spec, err := worker.Describe(b, "backtrack", recovery.Config{}, 0)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(spec.Name, spec.Tasks())
	for _, e := range spec.Edges {
		fmt.Printf("%s > %s: %s, from channel %d on\n", e.From, e.To, e.Grouping, e.First)
	}
	// Output:
	// upper [lines.0 lines.1 out.0]
	// lines > out: shuffle, from channel 0 on
}
