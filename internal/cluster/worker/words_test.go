package worker_test

import (
	"testing"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/topology"
)

// Nimbus decides by names of states and groupings without importing the packages that define them.
func TestWordsOfHeartbeats(t *testing.T) {
	for got, want := range map[string]string{
		string(cluster.StateFinishing): executor.Finishing.String(),
		string(cluster.StateComplete):  executor.Complete.String(),
		string(cluster.StateFailed):    executor.Failed.String(),
		string(cluster.AnchoredState):  string(task.Anchored),
		cluster.GroupingAll:            topology.All.String(),
		cluster.GroupingDirect:         topology.Direct.String(),
		cluster.GroupingLocalOrShuffle: topology.LocalOrShuffle.String(),
	} {
		if got != want {
			t.Errorf("package cluster has %q, its origin %q", got, want)
		}
	}
}
