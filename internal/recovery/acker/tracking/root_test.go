package tracking_test

import (
	"testing"

	"github.com/askback/askback/internal/recovery/acker/tracking"
	"github.com/askback/askback/msgid"
)

// A root names its task after any number of roots, and two incarnations in a row never return the same root.
func TestRoots(t *testing.T) {
	for _, task := range []int{0, 1, 77, 1<<20 - 1} {
		bases := map[uint64]bool{}
		for inc := range msgid.Incarnation(1000) {
			base := tracking.RootBase(task, inc+1)
			if base == 0 || tracking.RootTask(base) != task || tracking.RootTask(base+1<<32-1) != task {
				t.Fatalf("root %x of task %d is one of task %d", base, task, tracking.RootTask(base))
			}
			bases[base] = true
		}
		if len(bases) != 1000 {
			t.Errorf("1000 incarnations of task %d have %d bases", task, len(bases))
		}
	}
}

// Edges of neighbouring channels, incarnations and numbers are all different, and no two of them cancel out two others.
func TestEdges(t *testing.T) {
	seen := map[uint64]bool{}
	var all []uint64
	for channel := range uint32(8) {
		for inc := range msgid.Incarnation(4) {
			salt := tracking.EdgeSalt(channel, inc+1)
			for seq := range msgid.Seq(32) {
				all = append(all, tracking.Edge(salt, seq+1))
			}
		}
	}
	for i, a := range all {
		for _, b := range all[:i] {
			if seen[a^b] || a == b {
				t.Fatal("edges cancel out")
			}
			seen[a^b] = true
		}
	}
}
