package ledger_test

import (
	"context"
	"fmt"

	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/internal/recovery/acker/ledger"
	"github.com/askback/askback/internal/recovery/acker/tracking"
)

// The reports of an edge's two ends cancel out.
func Example() {
	l, out := ledger.New(), bolttest.NewEmitter()
	root, edge := tracking.RootBase(0, 1), tracking.Edge(tracking.EdgeSalt(0, 1), 1)
	for range 2 {
		if err := l.Execute(context.Background(), bolttest.MustTuple("root edges", root, edge), out); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(l.Len(), "pending")
	}
	// Output:
	// 1 pending
	// 0 pending
}
