package askback

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/msgid"
)

// A StuckError reports tasks that did not end although the run was stopped: a method of their operator has not returned,
// and does not heed its context. Their goroutines are left behind.
type StuckError struct {
	Waited time.Duration // since the run was stopped
	Tasks  []StuckTask
}

// A StuckTask is a task that did not end.
type StuckTask struct {
	Alias  msgid.Alias
	Method string        // of the operator, such as "Execute"; "" if it is in none of those that take a context
	For    time.Duration // since the task called the method, or began the frame of tuples that it works on
	// First and Last are the message ids of the frame whose tuples Execute works on; zero for other methods.
	First, Last msgid.ID
}

// Error names each task, its operator and the method.
func (e *StuckError) Error() string {
	lines := make([]string, len(e.Tasks))
	for i, t := range e.Tasks {
		lines[i] = fmt.Sprintf("operator %q, task %v %s", t.Alias.Operator, t.Alias, t.text())
	}
	return fmt.Sprintf("askback: %d s after the run was stopped %s: an operator must return when its context ends; the goroutine is left behind",
		int(e.Waited.Seconds()), strings.Join(lines, "; "))
}

func (t *StuckTask) text() string {
	switch {
	case t.Method == "":
		return "has not ended"
	case t.First == (msgid.ID{}):
		return fmt.Sprintf("has not returned from %s for %d s", t.Method, int(t.For.Seconds()))
	}
	return fmt.Sprintf("has not returned from Execute for %d s (it works on tuples %v to #%d)", int(t.For.Seconds()), t.First, t.Last.Seq)
}

// A crew is the goroutines of a run's tasks.
type crew struct {
	group sync.WaitGroup
	tasks []*member
}

type member struct {
	*executor.Executor
	ended atomic.Bool
}

// begin runs f, which returns when the task has ended.
func (c *crew) begin(s *executor.Executor, f func()) {
	m := &member{Executor: s}
	c.tasks = append(c.tasks, m)
	c.group.Go(func() {
		defer m.ended.Store(true)
		f()
	})
}

// wait returns when all have ended, or a *StuckError after the timeout.
func (c *crew) wait(timeout time.Duration) error {
	all := make(chan struct{})
	go func() { // it ends with the last task, be that long after wait
		c.group.Wait()
		close(all)
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-all:
		return nil
	case <-timer.C:
	}
	e := &StuckError{Waited: timeout}
	for _, m := range c.tasks {
		if m.ended.Load() {
			continue
		}
		call := m.Calling()
		e.Tasks = append(e.Tasks, StuckTask{Alias: call.Alias, Method: call.Method, For: call.For, First: call.First, Last: call.Last})
	}
	if len(e.Tasks) == 0 {
		return nil // the last one ended just now
	}
	return e
}
