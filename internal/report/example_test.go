package report_test

import (
	"fmt"

	"github.com/askback/askback/internal/report"
)

func Example() {
	r := &report.Report{Runs: []*report.Run{
		{System: "askback", Name: "none", Throughput: 10e6},
		{System: "askback", Name: "backtrack", Throughput: 9e6},
		{System: "askback", Name: "none", Throughput: 12e6},
		{System: "askback", Name: "backtrack", Throughput: 11e6},
	}}
	for _, s := range r.Summaries() {
		fmt.Printf("%s: %s a second, %d runs\n", s.Key(), report.Count(s.Throughput), s.Runs)
	}
	// Output:
	// none: 12.0 M a second, 2 runs
	// backtrack: 11.0 M a second, 2 runs
}
