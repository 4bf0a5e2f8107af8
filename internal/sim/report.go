package sim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/askback/askback/internal/recovery"
)

// A Report adds up the results of many scenarios.
type Report struct {
	Total    Tally     `json:"total"`
	Shapes   []Tally   `json:"shapes"`   // in the order of Shapes and Forms, those that were run
	Failures []*Result `json:"failures"` // violations: the first few, by seed
}

// A Tally counts the events of some runs.
type Tally struct {
	Name       string            `json:"name"` // of the shape
	Form       string            `json:"form"` // rows, fused, isolated or mixed
	Schedules  int               `json:"schedules"`
	Violations int               `json:"violations"`
	Refused    int               `json:"refused"` // rightly, after a destructive fault
	Crashes    int               `json:"crashes"`
	Outages    int               `json:"outages"` // that steps reported
	Zombies    int               `json:"zombies"`
	Fenced     int               `json:"fenced"`
	Cuts       int               `json:"cuts"`
	Losses     int               `json:"losses"` // of the log, while its tasks lived
	Steps      uint64            `json:"steps"`
	Time       uint64            `json:"time_ms"` // ms of the worlds' time
	Dead       uint64            `json:"dead"`    // tuples given up, as their tasks count them at the end
	Dropped    uint64            `json:"dropped"`
	Counters   recovery.Counters `json:"counters"`
}

// maxFailures is how many failures a report keeps.
const maxFailures = 10

// Add adds a result.
func (r *Report) Add(x *Result) {
	name, form := x.Scenario.Shape, FormName(x.Scenario.Form)
	i, known := slices.BinarySearchFunc(r.Shapes, rank(name, form), func(t Tally, at int) int { return cmp.Compare(rank(t.Name, t.Form), at) })
	if !known {
		r.Shapes = slices.Insert(r.Shapes, i, Tally{Name: name, Form: form})
	}
	r.Shapes[i].add(x)
	r.Total.add(x)
	if x.Violation != "" {
		r.Failures = append(r.Failures, x)
		slices.SortFunc(r.Failures, func(a, b *Result) int { return cmp.Compare(a.Scenario.Seed, b.Scenario.Seed) })
		r.Failures = r.Failures[:min(len(r.Failures), maxFailures)]
	}
}

// rank orders shapes and forms.
func rank(shape, form string) int {
	i := slices.IndexFunc(Shapes, func(s Shape) bool { return s.Name == shape })
	return i*len(Forms) + slices.IndexFunc(Forms, func(f string) bool { return FormName(f) == form })
}

func (t *Tally) add(x *Result) {
	t.Schedules++
	if x.Violation != "" {
		t.Violations++
	}
	if x.Refused != "" {
		t.Refused++
	}
	t.Crashes += x.Crashes
	t.Outages += x.Outages
	t.Dead += x.Lost.Dead
	t.Dropped += x.Lost.Dropped
	t.Zombies += x.Zombies
	t.Fenced += x.Fenced
	t.Cuts += x.Cuts
	t.Losses += x.Losses
	t.Steps += x.Steps
	t.Time += x.Time
	t.Counters.Add(x.Counters)
}

// String returns the report as a table.
func (r *Report) String() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "shape\tform\tschedules\tcrashes\toutages\tzombies\tfenced\tcuts\tlosses\tconsumed\tasks\tmissed\treplayed\tgiven up\trefused\tviolations\t")
	total := r.Total
	total.Name = "all"
	for _, t := range append(slices.Clone(r.Shapes), total) {
		c := &t.Counters
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", t.Name, t.Form, t.Schedules, t.Crashes, t.Outages, t.Zombies,
			t.Fenced, t.Cuts, t.Losses, c.Consumed, c.Asks, c.Missed, c.Replayed, t.Dead+t.Dropped, t.Refused, t.Violations)
	}
	w.Flush()
	return b.String()
}

// Sweep runs n scenarios, which choose makes of the numbers from first on, on so many goroutines, and returns when all are
// done. It calls each for every result, one call at a time. The report does not depend on parallel.
func Sweep(first, n uint64, parallel int, choose func(seed uint64) Scenario, each func(*Result)) (*Report, error) {
	var (
		mu     sync.Mutex
		report Report
		failed error
		next   = first
		group  sync.WaitGroup
	)
	take := func() (seed uint64, ok bool) {
		mu.Lock()
		defer mu.Unlock()
		seed, ok = next, next-first < n && failed == nil
		next++
		return seed, ok
	}
	for range max(1, parallel) {
		group.Go(func() {
			for {
				seed, ok := take()
				if !ok {
					return
				}
				r, err := Run(choose(seed))
				mu.Lock()
				if err != nil {
					failed = err
				} else {
					report.Add(r)
					if each != nil {
						each(r)
					}
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return &report, failed
}
