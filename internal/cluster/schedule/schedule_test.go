package schedule_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/askback/askback/internal/cluster/schedule"
	"github.com/askback/askback/msgid"
)

const gib = 1 << 30

// Each story is a state and what follows. Workers are written "slot topology: tasks", a lost one with "✗".
func TestStories(t *testing.T) {
	stories := []struct {
		story       string
		supervisors []schedule.Supervisor
		topologies  []schedule.Topology
		present     string
		want        string
		shortages   string
	}{
		{
			story:       "nothing is asked for",
			supervisors: []schedule.Supervisor{host("s1", 2)},
		},
		{
			story:       "each worker gets its share of the pipeline, and each supervisor a worker",
			supervisors: []schedule.Supervisor{host("s1", 2), host("s2", 2)},
			topologies:  []schedule.Topology{pipeline("words", 2, "lines", 2, "split", 2, "count", 2)},
			want: `
				s1/1 words: lines.0 split.0 count.0
				s2/1 words: lines.1 split.1 count.1`,
		},
		{
			story:       "where traffic is unequal, the heaviest channels stay within a worker",
			supervisors: []schedule.Supervisor{host("s1", 2), host("s2", 2)},
			topologies: []schedule.Topology{heavy(pipeline("words", 2, "a", 2, "b", 2), map[string]int64{
				"a.0>b.1": 100, "a.1>b.0": 100,
			})},
			want: `
				s1/1 words: a.1 b.0
				s2/1 words: a.0 b.1`,
		},
		{
			story:       "where operators differ in parallelism, a cut across the pipeline may cross less",
			supervisors: []schedule.Supervisor{host("s1", 3)},
			topologies:  []schedule.Topology{pipeline("hourglass", 3, "a", 2, "b", 2, "c", 1, "d", 2)},
			want: `
				s1/1 hourglass: a.1 b.0
				s1/2 hourglass: a.0 b.1
				s1/3 hourglass: c.0 d.0 d.1`,
		},
		{
			story:       "a long chain is cut across, where it crosses once",
			supervisors: []schedule.Supervisor{host("s1", 1), host("s2", 1)},
			topologies:  []schedule.Topology{pipeline("chain", 2, "a", 1, "b", 1, "c", 1, "d", 1)},
			want: `
				s1/1 chain: a.0 b.0
				s2/1 chain: c.0 d.0`,
		},
		{
			story:       "there are no more workers than tasks",
			supervisors: []schedule.Supervisor{host("s1", 8)},
			topologies:  []schedule.Topology{pipeline("chain", 8, "a", 1, "b", 1)},
			want: `
				s1/1 chain: a.0
				s1/2 chain: b.0`,
		},
		{
			story:       "of three slots the first topology gets two, the second one, and the third waits",
			supervisors: []schedule.Supervisor{host("s1", 2), host("s2", 1)},
			topologies: []schedule.Topology{
				pipeline("first", 2, "a", 1, "b", 1), pipeline("second", 3, "a", 1, "b", 1, "c", 1), pipeline("third", 3, "a", 1, "b", 3),
			},
			want: `
				s1/1 first: a.0
				s2/1 first: b.0
				s1/2 second: a.0 b.0 c.0`,
			shortages: `
				topology second asks for 3 workers and runs in 1; no other slot is free: add supervisors or free slots, then rebalance it
				topology third needs 3 workers, no slot is free: add supervisors or free slots (waiting: a.0 b.0 b.1 b.2)`,
		},
		{
			story:       "a lost worker moves whole, to another host even if that is fuller, and the others stay",
			supervisors: []schedule.Supervisor{host("s1", 9), host("s2", 3)},
			topologies:  []schedule.Topology{pipeline("words", 3, "a", 3, "b", 3)},
			present: `
				s1/1 words: a.0 b.2 ✗
				s2/1 words: a.1 b.1
				s2/2 words: a.2 b.0`,
			want: `
				s2/1 words: a.1 b.1
				s2/2 words: a.2 b.0
				s2/3 words: a.0 b.2`,
		},
		{
			story:       "a lost worker starts on its old host if there is no other",
			supervisors: []schedule.Supervisor{host("s1", 1)},
			topologies:  []schedule.Topology{pipeline("words", 1, "a", 1, "b", 1)},
			present:     "s1/1 words: a.0 b.0 ✗",
			want:        "s1/1 words: a.0 b.0",
		},
		{
			story:       "a supervisor dies and its worker lives: nothing moves, nothing comes",
			supervisors: []schedule.Supervisor{gone(host("s1", 4)), host("s2", 1)},
			topologies:  []schedule.Topology{pipeline("words", 1, "a", 1, "b", 1), pipeline("more", 2, "a", 2)},
			present:     "s1/1 words: a.0 b.0",
			want: `
				s1/1 words: a.0 b.0
				s2/1 more: a.0 a.1`,
			shortages: "topology more asks for 2 workers and runs in 1; no other slot is free: add supervisors or free slots, then rebalance it",
		},
		{
			story:       "a host is lost and no slot is free: its tasks join the workers that are left",
			supervisors: []schedule.Supervisor{gone(host("s1", 1)), host("s2", 1), host("s3", 1)},
			topologies:  []schedule.Topology{pipeline("words", 3, "a", 3, "b", 3)},
			present: `
				s1/1 words: a.0 b.0 ✗
				s2/1 words: a.1 b.1
				s3/1 words: a.2 b.2`,
			want: `
				s2/1 words: a.0 a.1 b.1
				s3/1 words: a.2 b.0 b.2`,
			shortages: "topology words asks for 3 workers and runs in 2; no other slot is free: add supervisors or free slots, then rebalance it",
		},
		{
			story:       "the lost host comes back: nothing moves, but the shortage names the remedy",
			supervisors: []schedule.Supervisor{host("s1", 1), host("s2", 1), host("s3", 1)},
			topologies:  []schedule.Topology{pipeline("words", 3, "a", 3, "b", 3)},
			present: `
				s2/1 words: a.0 a.1 b.1
				s3/1 words: a.2 b.0 b.2`,
			want: `
				s2/1 words: a.0 a.1 b.1
				s3/1 words: a.2 b.0 b.2`,
			shortages: "topology words asks for 3 workers and runs in 2; rebalance it to use the free slots",
		},
		{
			story:       "rebalanced, it uses the new supervisor, and two of three parts stay",
			supervisors: []schedule.Supervisor{host("s1", 4), host("s2", 4), host("s3", 4)},
			topologies:  []schedule.Topology{rebalanced(pipeline("words", 3, "a", 3, "b", 3))},
			present: `
				s1/1 words: a.2 b.2
				s2/3 words: a.0 b.0
				s2/4 words: a.1 b.1`,
			want: `
				s1/1 words: a.2 b.2
				s2/3 words: a.0 b.0
				s3/1 words: a.1 b.1`,
		},
		{
			story:       "rebalanced without need, only the tasks of a slot that is no longer offered move",
			supervisors: []schedule.Supervisor{host("s1", 2), host("s2", 2)},
			topologies:  []schedule.Topology{rebalanced(pipeline("words", 3, "a", 3, "b", 3))},
			present: `
				s1/2 words: a.1 b.1
				s2/2 words: a.0 b.0
				s2/9 words: a.2 b.2`,
			want: `
				s1/2 words: a.1 b.1
				s2/1 words: a.2 b.2
				s2/2 words: a.0 b.0`,
		},
		{
			story:       "rebalanced to fewer workers",
			supervisors: []schedule.Supervisor{host("s1", 4), host("s2", 4)},
			topologies:  []schedule.Topology{rebalanced(pipeline("words", 1, "a", 2, "b", 2))},
			present: `
				s1/2 words: a.0 b.0
				s2/3 words: a.1 b.1`,
			want: "s1/2 words: a.0 a.1 b.0 b.1",
		},
		{
			story:       "slots that a rebalancing frees are another topology's at once",
			supervisors: []schedule.Supervisor{host("s1", 2)},
			topologies:  []schedule.Topology{pipeline("waits", 1, "a", 1), rebalanced(pipeline("words", 1, "a", 2))},
			present: `
				s1/1 words: a.0
				s1/2 words: a.1`,
			want: `
				s1/2 waits: a.0
				s1/1 words: a.0 a.1`,
		},
		{
			story:       "slots that a rebalancing frees are also for a topology that was mended before",
			supervisors: []schedule.Supervisor{tagged(with(host("s1", 2), 0, 4*gib), "gpu"), host("s2", 2)},
			topologies: []schedule.Topology{
				needing(asking(pipeline("short", 1, "a", 1, "b", 1), "a", 0, 3*gib), "gpu"),
				rebalanced(asking(pipeline("words", 1, "a", 1), "a", 0, 2*gib)),
			},
			present: `
				s1/1 short: b.0
				s1/2 words: a.0`,
			want: `
				s1/1 short: a.0 b.0
				s2/1 words: a.0`,
		},
		{
			story:       "a rebalancing is refused, and lost workers are mended as far as possible",
			supervisors: []schedule.Supervisor{with(host("s1", 4), 0, 4*gib), with(host("s2", 1), 0, gib), gone(host("s3", 4))},
			topologies:  []schedule.Topology{rebalanced(asking(pipeline("words", 3, "a", 2, "b", 1), "a", 0, 3*gib))},
			present: `
				s1/1 words: a.0
				s3/1 words: a.1 ✗
				s3/2 words: b.0 ✗`,
			want: `
				s1/1 words: a.0
				s2/1 words: b.0`,
			shortages: `
				topology words is not rebalanced: task a.1 asks for 3 GiB, the most that a supervisor has left is 1 GiB: add supervisors, or free memory
				task a.1 asks for 3 GiB, the most that a supervisor has left is 1 GiB: add supervisors, or free memory (waiting: a.1)`,
		},
		{
			story:       "a rebalancing that has no room is refused, and moves nothing",
			supervisors: []schedule.Supervisor{with(host("s1", 2), 0, 4*gib)},
			topologies:  []schedule.Topology{rebalanced(asking(pipeline("words", 2, "a", 2), "a", 0, 3*gib))},
			present: `
				s1/1 words: a.0
				s1/2 words: a.1`,
			want: `
				s1/1 words: a.0
				s1/2 words: a.1`,
			shortages: "topology words is not rebalanced: task a.1 asks for 3 GiB, the most that a supervisor has left is 1 GiB: add supervisors, or free memory",
		},
		{
			story:       "memory decides: a part that fits nowhere whole is split up, and hungry tasks go where the memory is",
			supervisors: []schedule.Supervisor{with(host("big", 1), 0, 16*gib), with(host("a-small", 1), 0, 2*gib)},
			topologies:  []schedule.Topology{asking(pipeline("words", 2, "a", 2, "count", 2), "count", 0, 8*gib)},
			want: `
				a-small/1 words: a.1
				big/1 words: a.0 count.0 count.1`,
		},
		{
			story:       "the hungriest part chooses first",
			supervisors: []schedule.Supervisor{with(host("big", 1), 0, 4*gib), with(host("small", 1), 0, gib)},
			topologies:  []schedule.Topology{asking(pipeline("words", 2, "a", 1, "b", 1), "b", 0, 3*gib)},
			want: `
				big/1 words: b.0
				small/1 words: a.0`,
		},
		{
			story:       "where the parts do not fit, the hungriest task chooses first",
			supervisors: []schedule.Supervisor{with(host("s1", 1), 0, 3*gib), with(host("s2", 1), 0, 4*gib)},
			topologies: []schedule.Topology{{
				Name: "words", Workers: 2, Tasks: []msgid.Alias{alias("x.0"), alias("x.1"), alias("y.0")},
				Needs: map[string]schedule.Resources{"x": {Memory: 2 * gib}, "y": {Memory: 3 * gib}},
			}},
			want: `
				s1/1 words: y.0
				s2/1 words: x.0 x.1`,
		},
		{
			story:       "tasks that join others go where they exchange most, not to a worker without supervisor",
			supervisors: []schedule.Supervisor{host("s1", 1), host("s2", 1), gone(host("s3", 1))},
			topologies: []schedule.Topology{heavy(pipeline("words", 4, "a", 3, "b", 1), map[string]int64{
				"a.1>b.0": 100, "a.2>b.0": 1000,
			})},
			present: `
				s1/1 words: a.0
				s2/1 words: a.1
				s3/1 words: a.2
				s4/1 words: b.0 ✗`,
			want: `
				s1/1 words: a.0
				s2/1 words: a.1 b.0
				s3/1 words: a.2`,
			shortages: "topology words asks for 4 workers and runs in 3; no other slot is free: add supervisors or free slots, then rebalance it",
		},
		{
			story:       "a supervisor has become smaller than its workers: they stay, and tasks without demands may come",
			supervisors: []schedule.Supervisor{with(host("s1", 4), 100, 4*gib)},
			topologies: []schedule.Topology{
				asking(pipeline("hungry", 1, "a", 2), "a", 100, 3*gib), pipeline("light", 1, "a", 1), asking(pipeline("other", 1, "a", 1), "a", 10, 0),
			},
			present: "s1/1 hungry: a.0 a.1",
			want: `
				s1/1 hungry: a.0 a.1
				s1/2 light: a.0`,
			shortages: "task a.0 asks for 10 % of a core, the most that a supervisor has left is 0 %: add supervisors, or free CPU (waiting: a.0)",
		},
		{
			story:       "a task that is larger than any supervisor",
			supervisors: []schedule.Supervisor{with(host("s1", 4), 400, 4*gib), with(host("s2", 4), 800, 3*gib)},
			topologies: []schedule.Topology{
				asking(pipeline("words", 2, "a", 1, "count", 1), "count", 0, 8*gib),
				asking(pipeline("maths", 2, "a", 1, "count", 1), "count", 1000, 0),
				asking(pipeline("both", 1, "count", 1), "count", 600, 4*gib),
			},
			shortages: `
				task count.0 asks for 8 GiB, the largest supervisor has 4 GiB: add a larger one, or ask for less (waiting: a.0 count.0)
				task count.0 asks for 1000 % of a core, the largest supervisor has 800 %: add a larger one, or ask for less (waiting: a.0 count.0)
				task count.0 asks for 4 GiB and 600 % of a core, no supervisor has both left: add supervisors, or free some (waiting: count.0)`,
		},
		{
			story:       "a lost worker moves to where CPU is left; a topology that was killed uses none",
			supervisors: []schedule.Supervisor{with(host("s1", 4), 250, 0), gone(host("s2", 4))},
			topologies:  []schedule.Topology{asking(pipeline("words", 2, "a", 2, "b", 2), "b", 100, 0)},
			present: `
				s1/1 words: a.0 b.0
				s2/1 words: a.1 b.1 ✗
				s1/2 other: x.0`,
			want: `
				s1/1 words: a.0 b.0
				s1/2 words: a.1 b.1`,
		},
		{
			story:       "the CPU is used up: running workers go on, and only lost tasks that must wait do",
			supervisors: []schedule.Supervisor{with(host("s1", 4), 150, 0), gone(host("s2", 4))},
			topologies:  []schedule.Topology{asking(pipeline("words", 2, "a", 2, "b", 2), "b", 100, 0)},
			present: `
				s1/1 words: a.0 b.0
				s2/1 words: a.1 b.1 ✗`,
			want: `
				s1/1 words: a.0 b.0
				s1/2 words: a.1`,
			shortages: "task b.1 asks for 100 % of a core, the most that a supervisor has left is 50 %: add supervisors, or free CPU (waiting: b.1)",
		},
		{
			story:       "one worker on one host is not enough, two would be",
			supervisors: []schedule.Supervisor{with(host("s1", 1), 0, 4*gib), with(host("s2", 1), 0, 4*gib)},
			topologies:  []schedule.Topology{asking(pipeline("words", 1, "a", 2), "a", 0, 3*gib)},
			shortages:   "task a.1 cannot join the 1 worker of topology words, whose supervisors are full or gone: ask for more workers (waiting: a.0 a.1)",
		},
		{
			story:       "a topology that cannot start takes nothing from the next",
			supervisors: []schedule.Supervisor{with(host("s1", 3), 0, 4*gib)},
			topologies: []schedule.Topology{
				asking(pipeline("first", 1, "a", 3), "a", 0, 2*gib), asking(pipeline("second", 2, "a", 2), "a", 0, 2*gib),
			},
			want: `
				s1/1 second: a.0
				s1/2 second: a.1`,
			shortages: "task a.0 asks for 2 GiB, the most that a supervisor has left is 0 bytes: add supervisors, or free memory (waiting: a.0 a.1 a.2)",
		},
		{
			story:       "a running topology is mended before an older one is begun",
			supervisors: []schedule.Supervisor{host("s1", 2)},
			topologies:  []schedule.Topology{pipeline("waits", 1, "a", 1), pipeline("words", 2, "a", 2)},
			present: `
				s1/1 words: a.0 ✗
				s1/2 words: a.1`,
			want: `
				s1/1 words: a.0
				s1/2 words: a.1`,
			shortages: "topology waits needs 1 worker, no slot is free: add supervisors or free slots (waiting: a.0)",
		},
		{
			story:       "a tag binds a topology to the supervisors that have it",
			supervisors: []schedule.Supervisor{host("s1", 4), tagged(host("s2", 1), "ssd", "gpu")},
			topologies:  []schedule.Topology{needing(pipeline("words", 1, "a", 1), "gpu"), needing(pipeline("other", 1, "a", 1), "fpga")},
			want:        "s2/1 words: a.0",
			shortages:   "topology other asks for supervisors with the tags fpga, none is there: start one (waiting: a.0)",
		},
		{
			story:      "no supervisor has come yet",
			topologies: []schedule.Topology{pipeline("words", 2, "a", 1)},
			shortages:  "topology words needs 2 workers, no supervisor is there: start one (waiting: a.0)",
		},
		{
			story:       "a killed topology leaves, tasks that no longer exist too, and new ones come",
			supervisors: []schedule.Supervisor{host("s1", 4)},
			topologies:  []schedule.Topology{pipeline("words", 2, "a", 2, "b", 2)},
			present: `
				s1/1 killed: a.0
				s1/2 words: a.0 b.0 b.7
				s1/3 words: a.1
				s1/4 words: b.8`,
			want: `
				s1/2 words: a.0 b.0
				s1/3 words: a.1 b.1`,
		},
		{
			story:       "two workers claim one slot, or one task: the first keeps it",
			supervisors: []schedule.Supervisor{host("s1", 1), host("s2", 1)},
			topologies:  []schedule.Topology{pipeline("one", 1, "a", 2), pipeline("two", 1, "a", 1)},
			present: `
				s1/1 two: a.0
				s1/1 one: a.0 a.1
				s2/2 one: a.1`,
			want: `
				s1/1 one: a.0 a.1
				s2/1 two: a.0`,
		},
	}
	for _, s := range stories {
		t.Run(s.story, func(t *testing.T) {
			state := schedule.State{Supervisors: s.supervisors, Topologies: s.topologies, Workers: workers(t, s.present)}
			a := schedule.Schedule(state)
			if got, want := formatWorkers(a.Workers), lines(s.want); got != want {
				t.Errorf("assigned\n%s\nwant\n%s", got, want)
			}
			if got, want := reasons(a.Shortages), lines(s.shortages); got != want {
				t.Errorf("short\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// A local-or-shuffle edge goes to the tasks in the same worker, if there are any.
func TestLocal(t *testing.T) {
	a := schedule.Assignment{Workers: workers(t, `
		s1/1 other: split.0 count.5
		s1/2 words: split.0 count.0 count.3
		s1/3 words: split.1`)}
	if got := a.Local("words", alias("split.0"), "count"); !slices.Equal(got, []int{0, 3}) {
		t.Errorf("split.0 has %v at hand", got)
	}
	if got := a.Local("words", alias("split.1"), "count"); len(got) > 0 {
		t.Errorf("split.1 has %v at hand", got)
	}
}

func TestSizesInReasons(t *testing.T) {
	for need, want := range map[int64]string{
		1023: "1023 bytes", 1 << 10: "1 KiB", 1<<20 - 1: "1023.9 KiB", 3 << 29: "1.5 GiB", 8 << 30: "8 GiB", 1 << 40: "1 TiB",
	} {
		if got := (schedule.Resources{Memory: need}).String(); got != want {
			t.Errorf("%d bytes are formatted as %q, want %q", need, got, want)
		}
	}
}

func host(name string, slots int) schedule.Supervisor {
	s := schedule.Supervisor{Name: name}
	for i := range slots {
		s.Slots = append(s.Slots, i+1)
	}
	return s
}

func gone(s schedule.Supervisor) schedule.Supervisor {
	s.Gone = true
	return s
}

func with(s schedule.Supervisor, cpu, memory int64) schedule.Supervisor {
	s.Room = schedule.Resources{CPU: cpu, Memory: memory}
	return s
}

func tagged(s schedule.Supervisor, tags ...string) schedule.Supervisor {
	s.Tags = tags
	return s
}

// pipeline returns a topology in which each task of an operator sends to each task of the next. The operators are given
// as pairs of name and parallelism.
func pipeline(name string, workers int, operators ...any) schedule.Topology {
	t := schedule.Topology{Name: name, Workers: workers}
	var before []int
	for i := 0; i < len(operators); i += 2 {
		var these []int
		for index := range operators[i+1].(int) {
			these = append(these, len(t.Tasks))
			t.Tasks = append(t.Tasks, msgid.Alias{Operator: operators[i].(string), Index: index})
		}
		for _, source := range before {
			for _, target := range these {
				t.Channels = append(t.Channels, schedule.Channel{Source: source, Target: target})
			}
		}
		before = these
	}
	return t
}

func heavy(t schedule.Topology, weights map[string]int64) schedule.Topology {
	for i, c := range t.Channels {
		t.Channels[i].Weight = weights[t.Tasks[c.Source].String()+">"+t.Tasks[c.Target].String()]
	}
	return t
}

func asking(t schedule.Topology, operator string, cpu, memory int64) schedule.Topology {
	t.Needs = map[string]schedule.Resources{operator: {CPU: cpu, Memory: memory}}
	return t
}

func needing(t schedule.Topology, tags ...string) schedule.Topology {
	t.Tags = tags
	return t
}

func rebalanced(t schedule.Topology) schedule.Topology {
	t.Rebalance = true
	return t
}

// workers parses the output of formatWorkers.
func workers(t *testing.T, text string) (all []schedule.Worker) {
	t.Helper()
	for line := range strings.Lines(lines(text)) {
		words := strings.Fields(line)
		supervisor, slot, _ := strings.Cut(words[0], "/")
		number, err := strconv.Atoi(slot)
		if err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		w := schedule.Worker{Topology: strings.TrimSuffix(words[1], ":"), Slot: schedule.Slot{Supervisor: supervisor, Number: number}}
		for _, word := range words[2:] {
			if word == "✗" {
				w.Lost = true
				continue
			}
			w.Tasks = append(w.Tasks, alias(word))
		}
		all = append(all, w)
	}
	return all
}

func alias(text string) msgid.Alias {
	a, err := msgid.ParseAlias(text)
	if err != nil {
		panic(err)
	}
	return a
}

func formatWorkers(workers []schedule.Worker) string {
	var b strings.Builder
	for _, w := range workers {
		fmt.Fprintf(&b, "%v %s: %s\n", w.Slot, w.Topology, names(w.Tasks))
	}
	return b.String()
}

func reasons(shortages []schedule.Shortage) string {
	var b strings.Builder
	for _, s := range shortages {
		b.WriteString(s.Reason)
		if len(s.Waiting) > 0 {
			b.WriteString(" (waiting: " + names(s.Waiting) + ")")
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func names(tasks []msgid.Alias) string {
	var all []string
	for _, t := range tasks {
		all = append(all, t.String())
	}
	return strings.Join(all, " ")
}

// lines strips the indentation of a text.
func lines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			b.WriteString(line + "\n")
		}
	}
	return b.String()
}
