package schedule_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/askback/askback/internal/cluster/schedule"
	"github.com/askback/askback/msgid"
	"pgregory.net/rapid"
)

// Any cluster, in which anything happens ten times over, obeys these laws after every step.
func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawCluster(t)
		for range rapid.IntRange(1, 10).Draw(t, "steps") {
			happens(t, &s)
			a := schedule.Schedule(s)
			for _, law := range []func(schedule.State, schedule.Assignment) error{
				noSlotTwice, everyTaskOnce, withinRoom, noMoreWorkersThanAsked, onlyWhereOffered, reasonsGiven,
				healthyStay, sameAgain, orderDoesNotMatter,
			} {
				if err := law(s, a); err != nil {
					t.Fatalf("%v\nbefore\n%s\nafter\n%s\nshort\n%s", err, formatWorkers(s.Workers), formatWorkers(a.Workers), reasons(a.Shortages))
				}
			}
			s = inForce(s, a)
		}
	})
}

// On alike supervisors, each topology's workers are spread evenly, and so are all workers together.
func TestEvenSpread(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s schedule.State
		n := rapid.IntRange(1, 6).Draw(t, "supervisors")
		for i := range n {
			s.Supervisors = append(s.Supervisors, host(fmt.Sprint("s", i), 60))
		}
		for i := range rapid.IntRange(1, 6).Draw(t, "topologies") {
			s.Topologies = append(s.Topologies, pipeline(fmt.Sprint("t", i), rapid.IntRange(1, 9).Draw(t, "workers"), "a", 4, "b", 5))
		}
		a := schedule.Schedule(s)
		if len(a.Shortages) > 0 {
			t.Fatal(reasons(a.Shortages))
		}
		all := map[string]map[string]int{} // "" is all topologies
		for _, w := range a.Workers {
			for _, name := range []string{"", w.Topology} {
				if all[name] == nil {
					all[name] = map[string]int{}
				}
				all[name][w.Slot.Supervisor]++
			}
		}
		for name, on := range all {
			least, most := 60, 0
			for _, sup := range s.Supervisors {
				least, most = min(least, on[sup.Name]), max(most, on[sup.Name])
			}
			if most-least > 1 {
				t.Errorf("workers of %q by supervisor: %v", name, on)
			}
		}
	})
}

// A topology is never cut worse than by dealing its tasks out in the plan's order, as Storm's default scheduler does.
func TestCutBeatsDealing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		operators := []any{}
		for i := range rapid.IntRange(1, 5).Draw(t, "operators") {
			operators = append(operators, fmt.Sprint("o", i), rapid.IntRange(1, 4).Draw(t, "parallel"))
		}
		workers := rapid.IntRange(1, 4).Draw(t, "workers")
		topology := pipeline("t", workers, operators...)
		a := schedule.Schedule(schedule.State{Supervisors: []schedule.Supervisor{host("s", 4)}, Topologies: []schedule.Topology{topology}})

		workers = min(workers, len(topology.Tasks))
		in := map[msgid.Alias]int{}
		for i, w := range a.Workers {
			if size := len(w.Tasks); size < len(topology.Tasks)/workers || size > (len(topology.Tasks)+workers-1)/workers {
				t.Fatalf("the parts are not of equal size:\n%s", formatWorkers(a.Workers))
			}
			for _, task := range w.Tasks {
				in[task] = i
			}
		}
		crossing, dealt := 0, 0
		for _, c := range topology.Channels {
			if in[topology.Tasks[c.Source]] != in[topology.Tasks[c.Target]] {
				crossing++
			}
			if c.Source%workers != c.Target%workers {
				dealt++
			}
		}
		if crossing > dealt {
			t.Errorf("%d of %d channels cross, dealt out only %d do:\n%s", crossing, len(topology.Channels), dealt, formatWorkers(a.Workers))
		}
	})
}

func noSlotTwice(_ schedule.State, a schedule.Assignment) error {
	used := map[schedule.Slot]bool{}
	for _, w := range a.Workers {
		if used[w.Slot] {
			return fmt.Errorf("slot %v is used twice", w.Slot)
		}
		used[w.Slot] = true
	}
	return nil
}

// everyTaskOnce: each task runs in one worker or waits; a topology that did not run runs whole or not at all.
func everyTaskOnce(s schedule.State, a schedule.Assignment) error {
	for _, t := range s.Topologies {
		times := map[msgid.Alias]int{}
		runs := 0
		for _, w := range a.Workers {
			if w.Topology == t.Name {
				for _, task := range w.Tasks {
					times[task]++
					runs++
				}
			}
		}
		for _, short := range a.Shortages {
			if short.Topology == t.Name {
				for _, task := range short.Waiting {
					times[task]++
				}
			}
		}
		for _, task := range t.Tasks {
			if times[task] != 1 {
				return fmt.Errorf("task %v of %s is there %d times", task, t.Name, times[task])
			}
		}
		if len(times) != len(t.Tasks) {
			return fmt.Errorf("%s has %d tasks, and %d were placed or wait", t.Name, len(t.Tasks), len(times))
		}
		ran := slices.ContainsFunc(s.Workers, func(w schedule.Worker) bool { return w.Topology == t.Name && !w.Lost })
		if !ran && runs != 0 && runs != len(t.Tasks) {
			return fmt.Errorf("%s was started with %d of its %d tasks", t.Name, runs, len(t.Tasks))
		}
	}
	return nil
}

func withinRoom(s schedule.State, a schedule.Assignment) error {
	used := map[string]schedule.Resources{}
	for _, w := range a.Workers {
		for _, t := range s.Topologies {
			if t.Name != w.Topology {
				continue
			}
			for _, task := range w.Tasks {
				u := used[w.Slot.Supervisor]
				u.CPU += t.Needs[task.Operator].CPU
				u.Memory += t.Needs[task.Operator].Memory
				used[w.Slot.Supervisor] = u
			}
		}
	}
	for _, sup := range s.Supervisors {
		u := used[sup.Name]
		if sup.Room.CPU > 0 && u.CPU > sup.Room.CPU || sup.Room.Memory > 0 && u.Memory > sup.Room.Memory {
			return fmt.Errorf("supervisor %s has %+v, its tasks ask for %+v", sup.Name, sup.Room, u)
		}
	}
	return nil
}

func noMoreWorkersThanAsked(s schedule.State, a schedule.Assignment) error {
	for _, t := range s.Topologies {
		of := func(w schedule.Worker) bool { return w.Topology == t.Name }
		stay := countIf(s.Workers, func(w schedule.Worker) bool { return of(w) && !w.Lost })
		if n := countIf(a.Workers, of); n > max(t.Workers, stay) {
			return fmt.Errorf("%s asks for %d workers, had %d, and has %d", t.Name, t.Workers, stay, n)
		}
	}
	return nil
}

// onlyWhereOffered: a task that is new in a slot is on a supervisor that is there, offers the slot and has the tags.
func onlyWhereOffered(s schedule.State, a schedule.Assignment) error {
	for _, w := range a.Workers {
		if slices.ContainsFunc(s.Workers, func(was schedule.Worker) bool { return unmoved(was, w) && !was.Lost }) {
			continue
		}
		i := slices.IndexFunc(s.Supervisors, func(sup schedule.Supervisor) bool { return sup.Name == w.Slot.Supervisor })
		if i < 0 || s.Supervisors[i].Gone || !slices.Contains(s.Supervisors[i].Slots, w.Slot.Number) {
			return fmt.Errorf("slot %v is not offered", w.Slot)
		}
		for _, t := range s.Topologies {
			if t.Name == w.Topology && len(t.Tags) > 0 && !slices.Contains(s.Supervisors[i].Tags, t.Tags[0]) {
				return fmt.Errorf("%s runs on %s, which has not its tag", t.Name, w.Slot.Supervisor)
			}
		}
	}
	return nil
}

func reasonsGiven(_ schedule.State, a schedule.Assignment) error {
	for _, short := range a.Shortages {
		if !strings.Contains(short.Reason, ": ") && !strings.Contains(short.Reason, "; ") || strings.Contains(short.Reason, " has -") {
			return fmt.Errorf("not a reason with a remedy: %q", short.Reason)
		}
	}
	return nil
}

// healthyStay: unless its topology is rebalanced, a worker that is not lost stays with all its tasks. So the loss of
// a supervisor moves only its tasks, and a new one moves nothing.
func healthyStay(s schedule.State, a schedule.Assignment) error {
	for _, was := range s.Workers {
		if was.Lost || !slices.ContainsFunc(s.Topologies, func(t schedule.Topology) bool { return t.Name == was.Topology && !t.Rebalance }) {
			continue
		}
		if !slices.ContainsFunc(a.Workers, func(w schedule.Worker) bool { return unmoved(was, w) }) {
			return fmt.Errorf("worker %v of %s did not stay", was.Slot, was.Topology)
		}
	}
	return nil
}

// unmoved reports whether a worker is still there, perhaps with more tasks.
func unmoved(was, is schedule.Worker) bool {
	return was.Slot == is.Slot && was.Topology == is.Topology &&
		!slices.ContainsFunc(was.Tasks, func(task msgid.Alias) bool { return !slices.Contains(is.Tasks, task) })
}

func sameAgain(s schedule.State, a schedule.Assignment) error {
	again := schedule.Schedule(inForce(s, a))
	if formatWorkers(again.Workers) != formatWorkers(a.Workers) {
		return fmt.Errorf("called again, it returns\n%s", formatWorkers(again.Workers))
	}
	return nil
}

func orderDoesNotMatter(s schedule.State, a schedule.Assignment) error {
	r := rand.New(rand.NewPCG(1, 2))
	s.Supervisors, s.Workers = slices.Clone(s.Supervisors), slices.Clone(s.Workers)
	r.Shuffle(len(s.Supervisors), func(i, j int) { s.Supervisors[i], s.Supervisors[j] = s.Supervisors[j], s.Supervisors[i] })
	r.Shuffle(len(s.Workers), func(i, j int) { s.Workers[i], s.Workers[j] = s.Workers[j], s.Workers[i] })
	other := schedule.Schedule(s)
	if formatWorkers(other.Workers) != formatWorkers(a.Workers) || reasons(other.Shortages) != reasons(a.Shortages) {
		return fmt.Errorf("with its input in another order, it returns\n%s", formatWorkers(other.Workers))
	}
	return nil
}

// inForce returns the state in which an assignment has been carried out.
func inForce(s schedule.State, a schedule.Assignment) schedule.State {
	s.Workers = a.Workers
	s.Topologies = slices.Clone(s.Topologies)
	for i := range s.Topologies {
		s.Topologies[i].Rebalance = false
	}
	return s
}

func drawCluster(t *rapid.T) (s schedule.State) {
	for range rapid.IntRange(0, 4).Draw(t, "supervisors") {
		s.Supervisors = append(s.Supervisors, drawSupervisor(t, s))
	}
	for range rapid.IntRange(0, 3).Draw(t, "topologies") {
		s.Topologies = append(s.Topologies, drawTopology(t, s))
	}
	return s
}

func drawSupervisor(t *rapid.T, s schedule.State) schedule.Supervisor {
	sup := host(rapid.SampledFrom([]string{"a", "m", "z"}).Draw(t, "supervisor")+fmt.Sprint(len(s.Supervisors)), rapid.IntRange(0, 4).Draw(t, "slots"))
	if rapid.Bool().Draw(t, "gpu") {
		sup.Tags = []string{"gpu"}
	}
	return with(sup, rapid.SampledFrom([]int64{0, 100, 400}).Draw(t, "cpu"), rapid.SampledFrom([]int64{0, 2, 8}).Draw(t, "memory"))
}

// drawTopology draws one with a name that none has.
func drawTopology(t *rapid.T, s schedule.State) schedule.Topology {
	name := "t0"
	for i := 0; slices.ContainsFunc(s.Topologies, func(t schedule.Topology) bool { return t.Name == name }); i++ {
		name = fmt.Sprint("t", i)
	}
	parallel := rapid.IntRange(1, 4)
	made := pipeline(name, rapid.IntRange(0, 4).Draw(t, "workers"), "a", parallel.Draw(t, "a"), "b", parallel.Draw(t, "b"), "c", parallel.Draw(t, "c"))
	if rapid.IntRange(0, 4).Draw(t, "tagged") == 0 {
		made.Tags = []string{"gpu"}
	}
	made.Workers = max(1, made.Workers)
	return asking(made, rapid.SampledFrom([]string{"a", "b"}).Draw(t, "asks"),
		rapid.SampledFrom([]int64{0, 0, 50, 100}).Draw(t, "cpu"), rapid.SampledFrom([]int64{0, 0, 1, 3}).Draw(t, "memory"))
}

// happens changes something in the cluster.
func happens(t *rapid.T, s *schedule.State) {
	s.Supervisors, s.Topologies, s.Workers = slices.Clone(s.Supervisors), slices.Clone(s.Topologies), slices.Clone(s.Workers)
	supervisor, topology := -1, -1
	if n := len(s.Supervisors); n > 0 {
		supervisor = rapid.IntRange(0, n-1).Draw(t, "which supervisor")
	}
	if n := len(s.Topologies); n > 0 {
		topology = rapid.IntRange(0, n-1).Draw(t, "which topology")
	}
	switch what := rapid.SampledFrom([]string{
		"host lost", "supervisor gone", "supervisor back", "worker lost", "new supervisor", "submit", "kill", "rebalance", "nothing",
	}).Draw(t, "what"); {
	case what == "host lost" && supervisor >= 0:
		s.Supervisors[supervisor].Gone = true
		for i, w := range s.Workers {
			s.Workers[i].Lost = w.Slot.Supervisor == s.Supervisors[supervisor].Name
		}
	case what == "supervisor gone" && supervisor >= 0:
		s.Supervisors[supervisor].Gone = true
	case what == "supervisor back" && supervisor >= 0:
		s.Supervisors[supervisor].Gone = false
	case what == "worker lost" && len(s.Workers) > 0:
		s.Workers[rapid.IntRange(0, len(s.Workers)-1).Draw(t, "which worker")].Lost = true
	case what == "new supervisor":
		s.Supervisors = append(s.Supervisors, drawSupervisor(t, *s))
	case what == "submit":
		s.Topologies = append(s.Topologies, drawTopology(t, *s))
	case what == "kill" && topology >= 0:
		s.Topologies = slices.Delete(s.Topologies, topology, topology+1)
	case what == "rebalance" && topology >= 0:
		s.Topologies[topology].Rebalance = true
		s.Topologies[topology].Workers = rapid.IntRange(1, 5).Draw(t, "workers")
	}
}

func countIf(workers []schedule.Worker, is func(schedule.Worker) bool) (n int) {
	for _, w := range workers {
		if is(w) {
			n++
		}
	}
	return n
}
