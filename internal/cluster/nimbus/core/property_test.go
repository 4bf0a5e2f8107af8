package core_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

// Random operations in random order: a slot has one worker, a task one place, a live worker does not move unless a
// rebalance is requested, and when all supervisors are there, everything runs that has room.
func TestProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld(t, "a", "b", "c")
		w.apart = true
		names := []string{"one", "two", "three"}
		name := rapid.SampledFrom(names)
		host := rapid.SampledFrom([]string{"a", "b", "c"})
		t.Repeat(map[string]func(*rapid.T){
			"submit": func(t *rapid.T) {
				q := request(name.Draw(t, "name"), rapid.IntRange(1, 4).Draw(t, "workers"))
				s, first, _, err := w.core.Admit(q)
				if err == nil && first {
					w.accept(s, "")
				}
				w.settle()
			},
			"kill": func(t *rapid.T) {
				wait := time.Duration(rapid.IntRange(0, 3).Draw(t, "wait")) * time.Second
				x, _, err := w.core.Kill(w.now, &cluster.KillRequest{Name: name.Draw(t, "name"), Wait: wait})
				if err == nil {
					w.write(x)
				}
			},
			"rebalance": func(t *rapid.T) {
				x, r, err := w.core.Rebalance(w.now, &cluster.RebalanceRequest{Name: name.Draw(t, "name"), Workers: rapid.IntRange(1, 4).Draw(t, "workers")})
				if err == nil && (x == nil || r.Rebalance) {
					t.Fatalf("rebalanced without effect: %+v", r)
				}
				w.write(x)
			},
			"silence": func(t *rapid.T) { w.silent[host.Draw(t, "host")] = true },
			"speak": func(t *rapid.T) {
				name := host.Draw(t, "host")
				delete(w.silent, name)
				w.heartbeat(name)
			},
			"failover": func(*rapid.T) { w.lead() },
			"sleep":    func(*rapid.T) { w.now = w.now.Add(time.Minute) },
			"pass": func(t *rapid.T) {
				d := time.Duration(rapid.IntRange(1, 50).Draw(t, "tenths")) * 100 * time.Millisecond
				before := w.healthyPlaces()
				w.pass(d)
				for place, tasks := range before {
					if now, there := w.allPlaces()[place]; there && !contains(now, tasks) {
						t.Fatalf("%s had %v and has %v", place, tasks, now)
					} else if !there && w.core.Record(instanceName(place)) != nil {
						t.Fatalf("%s, which sends heartbeats, has lost %v", place, tasks)
					}
				}
			},
			"": func(t *rapid.T) { w.check(t) },
		})
		// In the end everybody is there.
		w.silent = map[string]bool{}
		w.pass(12 * time.Second)
		w.check(t)
		for n, r := range w.records {
			if got := len(tasksOf(r.Record)); got != 4 && w.freeSlots() > 0 {
				t.Fatalf("%s runs %d of 4 tasks, and %d slots are free: %s", n, got, w.freeSlots(), r.Record.Shortage)
			}
		}
	})
}

// check verifies the records.
func (w *world) check(t fatal) {
	used := map[string]string{}
	for n, r := range w.records {
		seen := map[msgid.Alias]bool{}
		for _, p := range r.Record.Placement {
			at := fmt.Sprintf("%s/%d", p.Supervisor, p.Slot)
			if other := used[at]; other != "" {
				t.Fatalf("%s and %s are both in %s", n, other, at)
			}
			used[at] = n
			if len(p.Tasks) == 0 {
				t.Fatalf("%s has a worker without tasks in %s", n, at)
			}
			for _, alias := range p.Tasks {
				if seen[alias] {
					t.Fatalf("%s has %v twice", n, alias)
				}
				seen[alias] = true
			}
		}
		if r.Record != w.core.Record(n) {
			t.Fatalf("the core knows another record of %s", n)
		}
	}
}

// allPlaces returns the tasks of each worker.
func (w *world) allPlaces() map[string][]msgid.Alias {
	all := map[string][]msgid.Alias{}
	for _, r := range w.records {
		for i := range r.Record.Placement {
			p := &r.Record.Placement[i]
			all[fmt.Sprintf("%s %s/%d", r.Record.Instance, p.Supervisor, p.Slot)] = p.Tasks
		}
	}
	return all
}

// healthyPlaces returns those of hosts that are not silent.
func (w *world) healthyPlaces() map[string][]msgid.Alias {
	all := w.allPlaces()
	for _, r := range w.records {
		for i := range r.Record.Placement {
			if p := &r.Record.Placement[i]; w.silent[p.Supervisor] {
				delete(all, fmt.Sprintf("%s %s/%d", r.Record.Instance, p.Supervisor, p.Slot))
			}
		}
	}
	return all
}

func (w *world) freeSlots() int {
	return 2*len(w.hosts) - len(w.allPlaces())
}

func tasksOf(r *cluster.Record) (all []msgid.Alias) {
	for _, p := range r.Placement {
		all = append(all, p.Tasks...)
	}
	return all
}

// contains reports whether a worker still has its tasks; it may have been given more.
func contains(all, some []msgid.Alias) bool {
	for _, alias := range some {
		if !slices.Contains(all, alias) {
			return false
		}
	}
	return true
}

func instanceName(place string) string {
	var i cluster.Instance
	_, _ = fmt.Sscanf(place, "%s", &i)
	return i.Name()
}
