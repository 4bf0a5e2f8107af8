package bolt

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/askback/askback/tuple"
)

// A Collector gathers the tuples that reach it, for tests. Its New is the factory of the bolt that does so; the Collector
// holds the rows of all its tasks:
//
//	got := bolt.NewCollector()
//	b.Bolt("sink", got.New).Global("count")
//	… run the topology to its end …
//	rows := got.Rows()
//
// A restored task continues from the rows of its snapshot, so that at the end each tuple is there once. In between, rows
// that no snapshot covers yet are there too. All rows stay in memory and are stored whole at each snapshot: it is not meant
// for millions.
//
// Its methods may be called from any goroutine, also during the run.
type Collector struct {
	mu    sync.Mutex
	tasks map[Task]*collected
}

// NewCollector returns an empty collector. Use it for one run.
func NewCollector() *Collector { return &Collector{tasks: make(map[Task]*collected)} }

// New returns the collecting bolt of one task.
func (c *Collector) New() Bolt { return &collecting{to: c} }

// Len returns the number of rows.
func (c *Collector) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, rows := range c.tasks {
		n += rows.n
	}
	return n
}

// Rows returns a copy of the rows: those of task 0 in the order in which it consumed them, then those of task 1
// and so on. Values are as Tuple.Any gives them: int64, uint64, float64, string, []byte, bool, nil, time.Time,
// []any, map[string]any.
func (c *Collector) Rows() [][]any {
	c.mu.Lock()
	defer c.mu.Unlock()
	var tasks []Task
	for task := range c.tasks {
		tasks = append(tasks, task)
	}
	slices.SortFunc(tasks, func(a, b Task) int {
		return cmp.Or(cmp.Compare(a.Topology, b.Topology), cmp.Compare(a.Alias.Operator, b.Alias.Operator),
			cmp.Compare(a.Alias.Index, b.Alias.Index))
	})
	var rows [][]any
	for _, task := range tasks {
		for t, err := range c.tasks[task].all() {
			if err != nil {
				break // never: Execute and Restore let only whole tuples in
			}
			row := make([]any, t.Len())
			for i := range row {
				row[i] = t.Any(i)
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// collected is the rows of one task: their tuples, one after another. It only grows, so the part in a snapshot does not
// change.
type collected struct {
	encoded []byte
	n       int
}

func (rows *collected) all() func(yield func(tuple.Tuple, error) bool) {
	return func(yield func(tuple.Tuple, error) bool) {
		var cursor tuple.Cursor
		cursor.Reset(rows.encoded, tuple.Origin{First: 1})
		for {
			item, err := cursor.Next()
			if err == nil && item == tuple.None {
				return
			}
			if err == nil && item != tuple.Data {
				err = tuple.ErrMalformed
			}
			if !yield(cursor.Tuple(), err) || err != nil {
				return
			}
		}
	}
}

// collecting is the bolt of one task.
type collecting struct {
	to   *Collector
	rows *collected
}

// Prepare begins with no rows. Those of an earlier incarnation of the same task are given up.
func (b *collecting) Prepare(ctx Context) error {
	task := ctx.Task()
	task.Incarnation = 0
	b.to.mu.Lock()
	defer b.to.mu.Unlock()
	b.rows = new(collected)
	b.to.tasks[task] = b.rows
	return nil
}

// Execute keeps a copy of the tuple.
func (b *collecting) Execute(_ context.Context, t tuple.Tuple, _ Emitter) error {
	b.to.mu.Lock()
	defer b.to.mu.Unlock()
	b.rows.encoded = append(b.rows.encoded, t.Encoded()...)
	b.rows.n++
	return nil
}

// Snapshot returns the rows so far.
func (b *collecting) Snapshot() ([]byte, error) {
	b.to.mu.Lock()
	defer b.to.mu.Unlock()
	return slices.Clip(b.rows.encoded), nil
}

// Restore replaces the rows by those of a snapshot.
func (b *collecting) Restore(data []byte) error {
	restored := collected{encoded: slices.Clone(data)}
	for _, err := range restored.all() {
		if err != nil {
			return fmt.Errorf("bolt: restore collected rows: %w", err)
		}
		restored.n++
	}
	b.to.mu.Lock()
	defer b.to.mu.Unlock()
	*b.rows = restored
	return nil
}
