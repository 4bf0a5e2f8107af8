package topology

import (
	"strconv"

	"github.com/askback/askback/tuple"
)

// A Grouping decides which tasks of the reading operator a tuple goes to. Each has a method of its name on Node.
type Grouping uint8

const (
	// Shuffle deals the tuples out, one task after another.
	Shuffle Grouping = iota
	// GroupBy sends the tuples with equal key fields to the same task.
	GroupBy
	// PartialKey sends the tuples with equal key fields to one of two tasks, to the one it has sent less to.
	// Skewed keys then load the tasks evenly; the bolt's results per key must be merged downstream.
	PartialKey
	// All sends every tuple to every task.
	All
	// Global sends every tuple to the first task.
	Global
	// Direct sends each tuple to the task that the emitter names, by tuple.Row's To.
	Direct
	// Custom lets a function of the topology pick the task.
	Custom
	// LocalOrShuffle deals the tuples out to the tasks in the same worker; if none is there, to all.
	LocalOrShuffle
	// Keyed sends the tuples with equal keys to the same task. The emitter computes the key, which need not be a field,
	// and gives its hash by tuple.Row's Key.
	Keyed
)

var groupings = [...]string{"shuffle", "group by", "partial key", "all", "global", "direct", "custom", "local or shuffle", "by key"}

// String returns the grouping in words, such as "group by".
func (g Grouping) String() string {
	if int(g) < len(groupings) {
		return groupings[g]
	}
	return "grouping " + strconv.Itoa(int(g))
}

// A PickFunc is a custom grouping: it returns the index of the target task, 0 to targets-1. It is called on the
// source task's goroutine, once a tuple. Its answer must follow from the row alone, since replay asks again, and
// several source tasks call it at the same time: so it keeps no state. It must not keep row.
type PickFunc = func(row *tuple.Row, targets int) int
