package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/askback/askback/bench"
	"github.com/askback/askback/internal/report"
)

// benchFlags are the command line of bench.
type benchFlags struct {
	spec       bench.Spec
	strategies string
	rate       string
	fault      string
	repeat     int
	json       bool
	jsonFile   string
	html       string
	peers      string
	detect     time.Duration
}

func benchCommand() *cobra.Command {
	var f benchFlags
	var about strings.Builder
	for _, w := range bench.Workloads {
		fmt.Fprintf(&about, "  %-11s %s\n", w.Name, w.About)
	}
	c := &cobra.Command{
		Use:   "bench",
		Short: "Compare the recovery strategies, and the effect of a fault on each",
		Long: `Bench runs one workload under each of several recovery strategies in turn, A B C A B C, on the same transport, and
does the same fault to each. Every measurement has a process of its own. Afterwards the results are compared with
those of a plain sequential program.

Workloads:
` + about.String() + `
Faults, at a moment after the warm-up:
  task@5s             a random bolt's task is killed, the same of every strategy
  tasks@5s            a task and one of its sources are killed
  worker@5s           the process is killed by SIGKILL, and started again
  nats@5s             the NATS server, a process of its own then, is killed by SIGKILL, and started again
  freeze-sink@5s:60s  the sink takes nothing for a minute

Latency is counted from the moment when a tuple was due by --rate, so a pause is not left out of it. With --rate max
there is no such moment: then it is mostly the time that tuples spend in queues.

The table is about the time before the fault: results a second, the ratio to the first strategy, latency, processor
time for each result, memory without the input, NATS messages and which part of them carried data, and of the whole
run the results lost and counted twice. A second table is about the fault, in ms since it: when it was detected, when the
last sink that had stopped went on, when results came at nine tenths of their rate, and when they were as fresh as
before; how old the oldest result was; tuples that restored tasks missed, that were replayed, processed again, and
sent again in all; and how many tasks that were not killed stopped or restarted. The median of all runs is shown.

Compare ratios within one report only; absolute figures depend on the machine.`,
		Example: `  askback bench                                            word count, all strategies
  askback bench --workload wordcount --fault task@5s --html report.html
  askback bench --workload relay --rate 100000 --fault worker@5s
  askback bench --strategies none,backtrack --repeat 10    is the difference real?
  askback bench --workload relay --rate 20000 --duration 80s --fault freeze-sink@5s:60s --strategies acker,backtrack
  askback bench --workload wordcount --fault task@5s --peers storm,flink --html report.html
  askback bench --workload hops --hops 16 --parallel 1 --json-file result.json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	fl := c.Flags()
	fl.SortFlags = false
	fl.StringVar(&f.spec.Workload, "workload", "wordcount", "the topology to run")
	fl.StringVar(&f.strategies, "strategies", strings.Join(bench.Contenders(), ","), "the strategies to compare; ratios are to the first")
	fl.DurationVar(&f.spec.Duration, "duration", 10*time.Second, "how long each measurement takes")
	fl.DurationVar(&f.spec.Warmup, "warmup", time.Second, "how long each runs before that")
	fl.StringVar(&f.rate, "rate", "max", `tuples (of wordcount: lines) a second that the sources emit, or "max"`)
	fl.IntVar(&f.spec.Parallel, "parallel", 2, "tasks of each operator")
	fl.IntVar(&f.spec.Hops, "hops", 4, "length of the chain of workload hops, 1 to 16")
	fl.StringVar(&f.fault, "fault", "none", "the fault to inject, and when")
	fl.IntVar(&f.repeat, "repeat", 1, "how many times to measure each strategy")
	fl.Uint64Var(&f.spec.Seed, "seed", 1, "chooses the task that is killed, and random keys")
	fl.StringVar(&f.peers, "peers", "", "Storm and Flink beside us: storm, flink or both; needs Java 17 and Maven")
	fl.DurationVar(&f.detect, "detect", 500*time.Millisecond, "how long a dead task of a peer goes unnoticed, as in a cluster; ours is found at once")
	fl.BoolVar(&f.json, "json", false, "print all figures as JSON instead of the table")
	fl.StringVar(&f.jsonFile, "json-file", "", "file for all figures as JSON, beside the printed report")
	fl.StringVar(&f.html, "html", "", "file for the report as a page")
	return c
}

// measureCommand and natsCommand are for the processes that bench starts.
func measureCommand() *cobra.Command {
	return &cobra.Command{
		Use: "bench-measure", Hidden: true, Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return bench.Measured(os.Stdin, os.Stdout) },
	}
}

func natsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "bench-nats", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(_ *cobra.Command, args []string) error {
			return bench.ServeNATS(args[0], args[1], os.Stdin, os.Stdout)
		},
	}
}

// errIncomplete is why the exit status is 1 although there is a report.
var errIncomplete = errors.New("not all was measured")

func (f *benchFlags) run(ctx context.Context, out, progress io.Writer) error {
	if err := f.parse(); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program, to start it for each measurement: %w", err)
	}
	p := &ticker{out: progress, unit: f.unit(), total: f.spec.Duration}
	if file, ok := progress.(*os.File); ok {
		p.live = term.IsTerminal(int(file.Fd()))
	}
	c := &bench.Comparison{
		Spec: f.spec, Strategies: strings.Split(f.strategies, ","), Repeat: f.repeat,
		Measurer: []string{self, "bench-measure"}, Server: []string{self, "bench-nats"},
		OnStart: p.start, OnSample: p.sample, OnRun: p.run,
	}
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := c.Check(); err != nil {
		return err
	}
	others, clean, err := f.rivals(ctx, p)
	if err != nil {
		return err
	}
	defer clean()
	for _, o := range others {
		c.Others = append(c.Others, o.measure)
	}
	r, err := c.Run(ctx)
	if err != nil {
		return err
	}
	if err := f.write(r, out); err != nil {
		return err
	}
	if f.html != "" {
		fmt.Fprintf(progress, "see %s\n", f.html)
	}
	if r.Interrupted {
		return fmt.Errorf("interrupted: %w", errIncomplete)
	}
	for _, run := range r.Runs {
		if run.Error != "" {
			return errIncomplete
		}
	}
	return nil
}

// parse reads the flags that are not numbers, and finds out now whether the report can be written.
func (f *benchFlags) parse() (err error) {
	if f.rate != "max" {
		if f.spec.Rate, err = strconv.ParseFloat(f.rate, 64); err != nil || f.spec.Rate <= 0 {
			return fmt.Errorf(`--rate %s: want a number of tuples a second above 0, or "max"`, f.rate)
		}
	}
	if f.spec.Fault, err = bench.ParseFault(f.fault); err != nil {
		return fmt.Errorf("--fault: %w", err)
	}
	if f.repeat < 1 {
		return fmt.Errorf("--repeat %d: want 1 or more", f.repeat)
	}
	if f.spec.Warmup < 0 {
		return fmt.Errorf("--warmup %v: want 0 or more", f.spec.Warmup)
	}
	for _, name := range []string{f.jsonFile, f.html} {
		if name == "" {
			continue
		}
		file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o644)
		if err != nil {
			return fmt.Errorf("the report could not be written: %w", err)
		}
		_ = file.Close()
	}
	return nil
}

func (f *benchFlags) unit() string {
	if w, err := bench.WorkloadNamed(f.spec.Workload); err == nil {
		return w.Unit
	}
	return "tuples"
}

// write writes the report in every form that was asked for.
func (f *benchFlags) write(r *report.Report, out io.Writer) error {
	save := func(name string, write func(io.Writer) error) error {
		file, err := os.Create(name)
		if err != nil {
			return err
		}
		return errors.Join(write(file), file.Close())
	}
	var errs []error
	if f.html != "" { // before the table, which a pager may stop reading
		errs = append(errs, save(f.html, r.WriteHTML))
	}
	if f.jsonFile != "" {
		errs = append(errs, save(f.jsonFile, r.Encode))
	}
	if f.json {
		errs = append(errs, r.Encode(out))
	} else {
		errs = append(errs, r.WriteTable(out))
	}
	return errors.Join(errs...)
}

// A ticker shows how a comparison goes: a line for each measurement, and on a terminal one that moves.
type ticker struct {
	out   io.Writer
	live  bool
	unit  string
	name  string
	total time.Duration
}

func (t *ticker) start(name string, repeat int) {
	t.name = fmt.Sprintf("%s %d", name, repeat)
	if t.live {
		fmt.Fprintf(t.out, "%-24s preparing", t.name)
	}
}

func (t *ticker) sample(at time.Duration, rate float64) {
	if t.live {
		fmt.Fprintf(t.out, "\r\x1b[K%-24s %4.1f of %v   %s %s/s", t.name, at.Seconds(), t.total, report.Count(rate), t.unit)
	}
}

func (t *ticker) run(r *report.Run) {
	if t.live {
		fmt.Fprint(t.out, "\r\x1b[K")
	}
	what := fmt.Sprintf("%s %s/s", report.Count(r.Throughput), t.unit)
	if r.Error != "" {
		what = r.Error
	}
	if r.Recovery != nil && len(r.Recovery.Victims) > 0 {
		what += " · " + strings.Join(r.Recovery.Victims, ", ")
	}
	fmt.Fprintf(t.out, "%-24s %s\n", fmt.Sprintf("%s %d", r.Key(), r.Repeat), what)
}
