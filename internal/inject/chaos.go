package inject

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
)

// A Chaos kills tasks while a topology runs, at points spread evenly over the progress of its spouts. The spouts pause at
// each point until its kill has been done, so all kills happen however short the run is.
type Chaos struct {
	faults Faults
	rand   *rand.Rand
	due    chan struct{}

	mu     sync.Mutex
	spouts []*gatedSpout
	killed int
	tasks  int
	asked  int // kills requested; while it is above killed the spouts pause
	// A bolt that is being restored may need more input before it can be killed again: the input that the earlier run
	// had read beyond its spouts' snapshots.
	starved bool
	waits   time.Time // since when not all tasks are ready; only Loop reads it
}

// NewChaos returns a Chaos that does the kills of f.
func NewChaos(f Faults) *Chaos {
	return &Chaos{faults: f, rand: rand.New(rand.NewPCG(f.Seed, 0)), due: make(chan struct{}, 1)}
}

// Gate puts a gate before every spout of the plan. It is called before tasks are made of the plan.
func (c *Chaos) Gate(p *topology.Plan) {
	for _, op := range p.Operators {
		if op.Spout == nil {
			continue
		}
		slots := make([]*gatedSpout, op.Parallel)
		for i := range slots {
			slots[i] = &gatedSpout{task: op.Tasks[i]}
		}
		c.spouts = append(c.spouts, slots...)
		op.Spout = spout.Gate(op.Spout, func(s spout.Spout, task int) bool { return c.holds(s, slots[task]) })
	}
}

// A gatedSpout is one spout task, whatever its incarnation.
type gatedSpout struct {
	task        *topology.Task
	done, total int64
	restoring   bool      // it must first emit again the tuples that its targets have
	ended       bool      // it was let past its end
	heldAt      time.Time // since when its end is held although a task may need it
}

// holds notes a spout's progress, requests the next kill when its point is reached, and reports whether to pause.
func (c *Chaos) holds(s spout.Spout, slot *gatedSpout) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p, ok := s.(spout.Progresser); ok {
		slot.done, slot.total = p.Progress()
	}
	if c.killed >= c.faults.Kills {
		return false
	}
	var done, total int64
	for _, s := range c.spouts {
		done += s.done
		total += s.total
	}
	if total == 0 || c.asked == c.killed && done*int64(c.faults.Kills+1) >= total*int64(c.killed+1) {
		c.asked = c.killed + 1
		select {
		case c.due <- struct{}{}:
		default:
		}
	}
	held := c.asked > c.killed && slot.held(c.starved || slot.restoring)
	slot.ended = slot.ended || !held && slot.total > 0 && slot.done >= slot.total
	return held
}

// held reports whether the spout pauses for a kill that is due. It goes on if a task needs its input, but its end is held a
// while longer: without it that task stays alive for the last kills. A task that waits for just the end receives it later.
func (s *gatedSpout) held(needed bool) bool {
	switch {
	case s.ended:
		return false
	case !needed || s.total == 0:
		s.heldAt = time.Time{}
		return true
	case s.done < s.total:
		s.heldAt = time.Time{}
		return false
	case s.heldAt.IsZero():
		s.heldAt = time.Now()
	}
	return time.Since(s.heldAt) < endTimeout
}

// endTimeout is how long the end of the input is held from a task that may need it to come back.
const endTimeout = 2 * time.Second

// Loop does the kills that are due, each when the tasks killed before have caught up. It returns when ctx ends.
func (c *Chaos) Loop(ctx context.Context, run Run) {
	for {
		select {
		case <-c.due:
		case <-ctx.Done():
			return
		}
		for !c.kill(run) {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
	}
}

// readyTimeout is how long sources are held for tasks that are not ready. A task of a run that resumes may need input that
// its source has not emitted yet.
const readyTimeout = 500 * time.Millisecond

// kill kills a random task, or a random task and one of its sources. It reports whether it could: all tasks must
// be running, so that each kill leads to a recovery of its own.
func (c *Chaos) kill(run Run) bool {
	ready, starved := true, false
	restoring := map[*topology.Task]bool{}
	plan := run.Plan()
	for n, i := range run.Tasks() {
		restoring[plan.Tasks[n]] = i.Recovering
		ready = ready && !i.Recovering && (i.State == executor.Running || i.State == executor.Finishing || i.State == executor.Complete)
		starved = starved || i.Starved != ""
	}
	if ready {
		c.waits = time.Time{}
	} else if c.waits.IsZero() {
		c.waits = time.Now()
	}
	c.mu.Lock()
	c.starved = !ready && (starved || time.Since(c.waits) > readyTimeout)
	for _, s := range c.spouts {
		s.restoring = restoring[s.task]
	}
	c.mu.Unlock()
	if !ready {
		return false
	}
	var victims []*topology.Task
	if c.faults.Pairs {
		var channels []*topology.Channel
		for _, ch := range plan.Channels {
			if !ch.Target.Operator.System && !ch.Source.Operator.System {
				channels = append(channels, ch)
			}
		}
		ch := channels[c.rand.IntN(len(channels))]
		victims = append(victims, ch.Source, ch.Target)
	} else {
		var tasks []*topology.Task // the user's: a strategy is not to lose by having tasks of its own
		for _, t := range plan.Tasks {
			if !t.Operator.System {
				tasks = append(tasks, t)
			}
		}
		victims = append(victims, tasks[c.rand.IntN(len(tasks))])
	}
	n := 0
	for _, t := range victims {
		if run.Kill(t.Alias) {
			n++
		}
	}
	if n == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tasks += n
	c.killed++
	return true
}

// Done returns how many tasks were killed.
func (c *Chaos) Done() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tasks
}
