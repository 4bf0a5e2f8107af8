package acker_test

import (
	"fmt"

	"github.com/askback/askback/internal/recovery/acker/tracking"
)

// A tree of two edges: the root goes from spout to bolt, and the bolt's output to the sink. Each task reports the edges
// that it consumed and emitted; when all have, the XOR is zero.
func Example() {
	first := tracking.Edge(tracking.EdgeSalt(0, 1), 1)  // lines>split#1
	second := tracking.Edge(tracking.EdgeSalt(1, 1), 1) // split>count#1
	var ledger uint64
	for _, report := range []struct {
		who   string
		edges uint64
	}{{"lines", first}, {"split", first ^ second}, {"count", second}} {
		ledger ^= report.edges
		fmt.Println(report.who, "processed:", ledger == 0)
	}
	// Output:
	// lines processed: false
	// split processed: false
	// count processed: true
}
