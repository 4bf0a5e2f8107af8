package askback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
)

const help = `Runs the topology %[1]q until its input has ended, on a NATS server in this process or on a given one.

With the strategy backtrack, the default, a task that fails is restored alone and asks its sources for exactly what it
missed. With --dir, or with --server and --keep, so does the whole program: after a kill -9, the same command goes on
where it was.`

const examples = `  %[1]s --plan                                the operators, tasks and channels
  %[1]s --dot | dot -Tsvg > plan.svg          the same as a picture
  %[1]s --dir /var/lib/%[1]s                  resumes after a crash
  %[1]s --server nats://127.0.0.1:4222 --keep  the same, on a server of your own
  %[1]s --kill 5                              kill five tasks on the way, and watch`

// flags are what the command line says.
type flags struct {
	server, dir, strategy, durability string
	keep, json, plan, dot             bool
	kills                             int
	seed                              uint64

	options []Option // that Main was given
}

// command is the command line of a topology program.
func command(b *topology.Builder, options []Option) *cobra.Command {
	f, base := flags{options: options}, configured(options)
	c := &cobra.Command{
		Use:           b.Name(),
		Short:         "Runs the topology " + b.Name(),
		Long:          fmt.Sprintf(help, b.Name()),
		Example:       fmt.Sprintf(examples, b.Name()),
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return f.run(cmd, b) },
	}
	c.CompletionOptions.DisableDefaultCmd = true
	c.AddCommand(submitCommand(b))
	p := c.Flags()
	p.SortFlags = false
	p.StringVar(&f.server, "server", base.server, "URL of a NATS server with JetStream (default: one in this process)")
	p.BoolVar(&f.keep, "keep", base.keep, "leave the log on the server, and resume from the one that is there")
	p.StringVar(&f.dir, "dir", base.dir, "directory that keeps the log of the server in this process (default: a temporary one)")
	p.StringVar(&f.strategy, "strategy", base.strategy.String(), "recovery strategy: "+listed())
	p.StringVar(&f.durability, "durability", string(base.durability), "what the log survives: process (any crash of processes) or power (a power cut too)")
	p.IntVar(&f.kills, "kill", base.faults.Kills, "how many random tasks to kill, spread over the input")
	p.Uint64Var(&f.seed, "seed", base.faults.Seed, "seed that chooses the tasks to kill (default: the time)")
	p.BoolVar(&f.json, "json", false, "end with one line of JSON; the story goes to standard error")
	p.BoolVar(&f.plan, "plan", false, "print the plan, and do not run")
	p.BoolVar(&f.dot, "dot", false, "print the plan as a Graphviz graph, and do not run")
	return c
}

func (f *flags) run(cmd *cobra.Command, b *topology.Builder) error {
	if os.Getenv(cluster.RoleVariable) == roleDescribe {
		return f.describe(cmd, b)
	}
	if f.plan || f.dot {
		plan, err := b.Build()
		switch {
		case err != nil:
			return err
		case f.dot:
			fmt.Fprint(cmd.OutOrStdout(), plan.Graphviz())
		default:
			fmt.Fprint(cmd.OutOrStdout(), plan)
		}
		return nil
	}
	durabilities := map[string]Durability{"process": Process, "power": Power}
	durability, ok := durabilities[f.durability]
	if !ok {
		return fmt.Errorf("askback: unknown durability %q: there are process and power", f.durability)
	}
	if f.keep && f.server == "" {
		return errors.New("askback: --keep is for --server; the server in this process keeps its log with --dir")
	}
	if f.seed == 0 {
		f.seed = uint64(time.Now().UnixNano())
	}
	s := &story{out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
	if f.json {
		s.out = s.err
	}
	chosen, err := strategy.Named(f.strategy)
	if err != nil {
		return fmt.Errorf("askback: %w", err)
	}
	options := []Option{OnProgress(s.progress), OnRecovery(s.recovery), OnEvent(s.event)}
	options = append(options, f.options...)
	options = append(options,
		WithServer(f.server), WithDir(f.dir), WithStrategy(chosen), WithDurability(durability), kill(f.kills, f.seed))
	if f.keep {
		options = append(options, WithKeep())
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	report, err := Run(ctx, b, options...)
	s.wipe()
	if err != nil {
		return err
	}
	total := report.Totals()
	s.line("complete", "%s in %.2f s · %d tasks killed, %d recoveries · missed %d, replayed %d",
		b.Name(), report.Elapsed.Seconds(), report.Kills, len(report.Recoveries), total.Missed, total.Replayed)
	if !f.json {
		return nil
	}
	return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]any{
		"topology": b.Name(), "strategy": report.Strategy, "seconds": report.Elapsed.Seconds(), "resumed": report.Resumed,
		"kills": report.Kills, "recoveries": len(report.Recoveries), "missed": total.Missed, "replayed": total.Replayed,
		"consumed": total.Consumed, "emitted": total.Emitted, "seed": f.seed,
	})
}

// describe says what the topology is in a cluster with these flags.
func (f *flags) describe(cmd *cobra.Command, b *topology.Builder) (err error) {
	cmd.Flags().Visit(func(given *pflag.Flag) {
		if given.Name != "strategy" {
			err = fmt.Errorf("askback: --%s does not count in a cluster, only --strategy does", given.Name)
		}
	})
	if err != nil {
		return err
	}
	chosen, err := strategy.Named(f.strategy)
	if err != nil {
		return fmt.Errorf("askback: %w", err)
	}
	return describe(cmd.OutOrStdout(), b, append(slices.Clip(f.options), WithStrategy(chosen)))
}

// interruptible returns a context that ends when the user wants it to.
func interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	return signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
}

// A story is what a run prints: a line for each event, and how far it is if somebody is looking.
type story struct {
	mu       sync.Mutex
	out, err io.Writer
	shown    bool // a progress line, which the next line wipes
}

func (s *story) line(what, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	fmt.Fprintf(s.out, "%-9s %s\n", what, fmt.Sprintf(format, args...))
}

func (s *story) wipe() {
	if s.shown {
		s.shown = false
		fmt.Fprint(s.err, "\r\x1b[K")
	}
}

func (s *story) progress(p Progress) {
	if f, ok := s.err.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	s.shown = true
	if p.Total > 0 {
		fmt.Fprintf(s.err, "%3d %%  %.0f s", p.Done*100/p.Total, p.Elapsed.Seconds())
	} else {
		fmt.Fprintf(s.err, "running  %.0f s", p.Elapsed.Seconds())
	}
}

func (s *story) recovery(r Recovery) {
	s.line("restored", "%v (incarnation %d) in %d ms · %s · asked %v · missed %d, replayed %d · reprocessed %d",
		r.Alias, r.Incarnation, r.Took.Milliseconds(), firstLine(r.Cause), r.Asked, r.Missed, r.Replayed, r.Reprocessed)
}

func (s *story) event(e Event) { s.line("transport", "%v", e) }

func kill(n int, seed uint64) Option {
	return func(c *config) { c.faults.Kills, c.faults.Seed = n, seed }
}

// firstLine leaves out the stack of a panic.
func firstLine(err error) string {
	text := fmt.Sprint(err)
	for i, c := range text {
		if c == '\n' {
			return text[:i]
		}
	}
	return text
}

// listed lists the strategies with what they promise.
func listed() string {
	var b strings.Builder
	for i, s := range strategy.All() {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%v (%v)", s, s.Guarantee())
	}
	return b.String()
}
