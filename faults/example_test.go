package faults_test

import (
	"context"
	"fmt"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
)

// Two tasks are killed on the way, and the result is as without.
func Example() {
	b, got := topology.New("killed"), bolt.NewCollector()
	b.Spout("words", spout.Slice("ask", "back")).Fields("word")
	b.Bolt("result", got.New).Global("words")
	report, err := askback.Run(context.Background(), b, faults.Kill(2, 1))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(got.Rows(), "after", report.Kills, "kills")
	// Output: [[ask] [back]] after 2 kills
}
