package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/sim"
	"github.com/askback/askback/strategy"
)

// simFlags are the command line of sim.
type simFlags struct {
	first, seeds uint64
	shape, form  string
	strategy     string
	faults       string
	bug          string
	parallel     int
	shrink       int
	scenario     string
	json         bool
	list         bool
}

func simCommand() *cobra.Command {
	var f simFlags
	c := &cobra.Command{
		Use:   "sim",
		Short: "Look for schedules of faults that break a guarantee",
		Long: fmt.Sprintf(`Sim runs whole topologies in simulated time, on a simulated network and log, with the tasks, the recovery
protocol and the log writer of production. Each seed stands for one scenario: a shape of topology, settings, and
faults (tasks crash, alone, in pairs, or while they are restored; paused ones come back; messages are lost, doubled,
reordered, damaged or late; the power fails and the log loses its newest records; …) at random moments. When the
faults have ended the topology must come to its end, and each operator's state and output must be what a plain fold
of its input gives, every tuple once.

A shape is run in several forms (--form): its operators read and emit rows, or it is written with package stream, and
its steps are fused where that is possible (fused), each kept apart (isolated), or some of them (mixed), with further
steps between that are drawn from the seed. Tuples that operators cannot process are tried again, dropped or become
dead letters, and the counts must be exact.

Shapes: %s.

A violation is printed with the last events before it, and as the smallest scenario that shows it too.
The exit status is 1 if there was one. A task that refuses to go on after its log has lost what it had acknowledged
as safe is counted as refused, which is right.

A harness proves nothing until it catches planted bugs: --bug breaks one rule of the protocol, to see it caught.`, shapeNames()),
		Example: `  askback sim                                 a thousand schedules of everything
  askback sim --first 5000 --seeds 100000 --parallel 2
  askback sim --shape diamond --faults crash,drop
  askback sim --shape long_chain --form fused
  askback sim --bug early_release             see it caught
  askback sim --first 4711 --seeds 1          one schedule again
  askback sim --scenario '{"seed":4711,…}'    a scenario that was printed
  askback sim --list                          shapes, faults and bugs`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd.OutOrStdout(), cmd.ErrOrStderr()) },
	}
	fl := c.Flags()
	fl.Uint64Var(&f.first, "first", 1, "first seed")
	fl.Uint64Var(&f.seeds, "seeds", 1000, "how many seeds")
	fl.StringVar(&f.shape, "shape", "", "only this shape of topology (default: each seed chooses)")
	fl.StringVar(&f.form, "form", "", "only this form: rows, fused, isolated, mixed (default: each seed chooses)")
	fl.StringVar(&f.strategy, "strategy", "", "only this strategy: "+strings.Join(strategy.Names(), ", ")+" (default: each seed chooses)")
	fl.StringVar(&f.faults, "faults", "", `only these faults, separated by commas; "all", or "none" (default: each seed chooses)`)
	fl.StringVar(&f.bug, "bug", "", "plant this bug")
	fl.IntVar(&f.parallel, "parallel", 1, "how many schedules to run at once")
	fl.IntVar(&f.shrink, "shrink", 300, "how many runs to spend on making a failure smaller")
	fl.StringVar(&f.scenario, "scenario", "", "run this scenario, printed by a failure, and nothing else")
	fl.BoolVar(&f.json, "json", false, "print the report as JSON")
	fl.BoolVar(&f.list, "list", false, "list shapes, faults and bugs, and run nothing")
	return c
}

// errViolated is why the exit status is 1.
var errViolated = errors.New("a guarantee was violated")

func (f *simFlags) run(out, progress io.Writer) error {
	if f.list {
		return list(out)
	}
	choose, err := f.choose()
	if err != nil {
		return err
	}
	if f.scenario != "" {
		f.seeds = 1
	}
	began, reported, done, bad := time.Now(), time.Now(), uint64(0), 0
	report, err := sim.Sweep(f.first, f.seeds, f.parallel, choose, func(r *sim.Result) {
		if done++; r.Violation != "" {
			bad++
		}
		if time.Since(reported) > time.Second {
			reported = time.Now()
			fmt.Fprintf(progress, "%d of %d schedules, %d violations, %.0f a second\n", done, f.seeds, bad, float64(done)/time.Since(began).Seconds())
		}
	})
	if err != nil {
		return err
	}
	if f.json {
		err = json.NewEncoder(out).Encode(report)
	} else {
		f.print(out, report, time.Since(began))
	}
	if err == nil && report.Total.Violations > 0 {
		err = errViolated
	}
	return err
}

// choose returns the function that makes a scenario of a seed.
func (f *simFlags) choose() (func(seed uint64) sim.Scenario, error) {
	if f.scenario != "" {
		s, err := sim.ParseScenario(f.scenario)
		return func(uint64) sim.Scenario { return s }, err
	}
	faults, err := sim.ParseFaults(f.faults)
	if err != nil {
		return nil, err
	}
	if _, err := sim.ShapeNamed(f.shape); f.shape != "" && err != nil {
		return nil, fmt.Errorf("%w; --list shows them", err)
	}
	form, err := sim.FormNamed(f.form)
	if f.form != "" && err != nil {
		return nil, err
	}
	if f.bug != "" && !slices.Contains(sim.Bugs, sim.Bug(f.bug)) {
		return nil, fmt.Errorf("no bug is called %q; --list shows them", f.bug)
	}
	return func(seed uint64) sim.Scenario {
		s := sim.ScenarioOf(seed)
		if f.form != "" {
			s = s.In(form)
		}
		if f.shape != "" {
			s = s.Of(f.shape)
		}
		if f.strategy != "" {
			s.Strategy = f.strategy
		}
		if s = s.Chosen(); f.faults != "" {
			s.Faults = faults
		}
		s.Bug = sim.Bug(f.bug)
		return s
	}, nil
}

func (f *simFlags) print(out io.Writer, report *sim.Report, took time.Duration) {
	for _, r := range report.Failures[:min(3, len(report.Failures))] {
		fmt.Fprintf(out, "%v\n", r)
		if f.shrink > 0 && f.scenario == "" {
			if small := sim.Shrink(r, f.shrink); small != r {
				fmt.Fprintf(out, "A smaller scenario that violates %s too; run it with\n  askback sim --scenario '%v'\n\n", small.Invariant, small.Scenario)
			}
		}
	}
	fmt.Fprint(out, report)
	t := &report.Total
	verdict := "no guarantee was violated"
	if t.Violations > 0 {
		verdict = fmt.Sprintf("%d schedules violated a guarantee", t.Violations)
	}
	fmt.Fprintf(out, "%d schedules, %.1f s; %d steps, %.0f s of simulated time: %s\n", t.Schedules, took.Seconds(), t.Steps, float64(t.Time)/1000, verdict)
}

// shapeNames lists the shapes, in lines of a help text.
func shapeNames() string {
	var b strings.Builder
	width := len("Shapes: ")
	for i, s := range sim.Shapes {
		switch {
		case i == 0:
		case width+2+len(s.Name) > 110:
			b.WriteString(",\n")
			width = 0
		default:
			b.WriteString(", ")
			width += 2
		}
		b.WriteString(s.Name)
		width += len(s.Name)
	}
	return b.String()
}

func list(out io.Writer) error {
	var b strings.Builder
	b.WriteString("Shapes:\n")
	for _, s := range sim.Shapes {
		fmt.Fprintf(&b, "  %-18s %s\n", s.Name, s.About)
	}
	b.WriteString("Forms:\n  rows fused isolated mixed (not rows, of a shape that is typed only)\n")
	fmt.Fprintf(&b, "Faults:\n  %s\nBugs:\n", strings.ReplaceAll(sim.AllFaults.String(), ",", " "))
	for _, bug := range sim.Bugs {
		fmt.Fprintf(&b, "  %s\n", bug)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
