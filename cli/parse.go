package cli

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/askback/askback"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/strategy"
)

// A usageError is a command line that is wrong.
type usageError struct{ error }

func wrong(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// A line is a command line that was read.
type line struct {
	args []string // arguments of the program

	server, dir, strategy, durability string
	keep, json, plan, dot             bool
	kills                             int
	seed                              uint64
	env                               environment

	given  map[string]bool // flags of every program that were given
	chosen strategy.Strategy
}

// ours declares the flags of every program.
func (l *line) ours() *flag.FlagSet {
	f := newFlagSet()
	f.StringVar(&l.server, "server", "", "`URL` of a NATS server with JetStream (default: one in this process)")
	f.BoolVar(&l.keep, "keep", false, "leave the log on the server, and resume from the one that is there")
	f.StringVar(&l.dir, "dir", "", "`directory` that keeps the log of the server in this process (default: a temporary one)")
	f.StringVar(&l.strategy, "strategy", "", "recovery strategy by `name`: "+strategies()+" (default backtrack, unless the program chooses another)")
	f.StringVar(&l.durability, "durability", "", "what the log survives, `process` (any crash of processes) or power (a power cut too) (default process)")
	f.IntVar(&l.kills, "kill", 0, "kill this `number` of random tasks, spread over the input")
	f.Uint64Var(&l.seed, "seed", 0, "`number` that chooses the tasks to kill (default: the time)")
	f.Var(&l.env, "env", "set an environment variable, `NAME=VALUE`, or pass on NAME as it is here; also in workers, and repeatable")
	f.BoolVar(&l.json, "json", false, "end with one line of JSON; the story goes to standard error")
	f.BoolVar(&l.plan, "plan", false, "print the plan, and do not run")
	f.BoolVar(&l.dot, "dot", false, "print the plan as a Graphviz graph, and do not run")
	return f
}

func newFlagSet() *flag.FlagSet {
	f := flag.NewFlagSet("", flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.Usage = func() {}
	return f
}

// own declares the program's own flags.
func (p *Program) own() *flag.FlagSet {
	f := newFlagSet()
	if p.Flags != nil {
		p.Flags(f)
	}
	return f
}

// parse reads a command line. It returns flag.ErrHelp if that asks for help.
func (p *Program) parse(args []string) (*line, error) {
	l, err := p.parseOnce(args)
	if err != nil || len(l.env.names) == 0 {
		return l, err
	}
	// Defaults of the program's own flags may come from the environment, so the flags are read again with the variables of --env.
	if err := l.env.apply(); err != nil {
		return nil, err
	}
	return p.parseOnce(args)
}

func (p *Program) parseOnce(args []string) (*line, error) {
	l := &line{given: map[string]bool{}}
	ours, own := l.ours(), p.own()
	var taken []string
	own.VisitAll(func(f *flag.Flag) {
		if ours.Lookup(f.Name) != nil || f.Name == "help" || f.Name == "h" {
			taken = append(taken, "--"+f.Name)
		}
	})
	if len(taken) > 0 {
		return nil, fmt.Errorf("cli: the program declares %s, which every topology program has: give its flag another name", strings.Join(taken, ", "))
	}
	var err error
	if l.args, err = read(args, ours, own); err != nil {
		return nil, err
	}
	ours.Visit(func(f *flag.Flag) { l.given[f.Name] = true })
	if len(l.args) > 0 && p.Args == "" {
		return nil, wrong("unexpected argument %.80q: the program takes flags only", l.args[0])
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	// The program may ask its set for the arguments, too.
	return l, own.Parse(append([]string{"--"}, l.args...))
}

// read sets flags from a command line, and returns its arguments. Flags may stand anywhere before "--".
func read(args []string, sets ...*flag.FlagSet) (rest []string, err error) {
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		if arg == "--" {
			return append(rest, args...), nil
		}
		if len(arg) < 2 || arg[0] != '-' {
			rest = append(rest, arg)
			continue
		}
		name, value, valued := strings.Cut(strings.TrimPrefix(arg[1:], "-"), "=")
		set, f := lookup(name, sets)
		switch {
		case f == nil && (name == "help" || name == "h"):
			return nil, flag.ErrHelp
		case f == nil:
			return nil, wrong("unknown flag %s: there are %s", dashed(arg), names(sets))
		case valued:
		case isBool(f):
			value = "true"
		case len(args) == 0:
			return nil, wrong("flag --%s needs a value", name)
		default:
			value, args = args[0], args[1:]
		}
		if err := set.Set(name, value); err != nil {
			var usage *usageError
			if errors.As(err, &usage) {
				return nil, err
			}
			return nil, wrong("--%s %.80q: %w", name, value, err)
		}
	}
	return rest, nil
}

// dashed returns the flag of an argument without its value.
func dashed(arg string) string {
	name, _, _ := strings.Cut(arg, "=")
	return name
}

func lookup(name string, sets []*flag.FlagSet) (*flag.FlagSet, *flag.Flag) {
	for _, s := range sets {
		if f := s.Lookup(name); f != nil {
			return s, f
		}
	}
	return nil, nil
}

func isBool(f *flag.Flag) bool {
	b, ok := f.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// names lists all flags.
func names(sets []*flag.FlagSet) string {
	all := []string{"--help"}
	for _, s := range sets {
		s.VisitAll(func(f *flag.Flag) { all = append(all, "--"+f.Name) })
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// check finds values that make no sense.
func (l *line) check() (err error) {
	d := askback.Durability(l.durability)
	switch {
	case l.given["durability"] && d != askback.Process && d != askback.Power:
		return wrong("--durability %.80q: there are %s and %s", l.durability, askback.Process, askback.Power)
	case l.kills < 0:
		return wrong("--kill %d: want 0 or more", l.kills)
	case l.given["strategy"]:
		if l.chosen, err = strategy.Named(l.strategy); err != nil {
			return wrong("--strategy: %w", err)
		}
	}
	return nil
}

// checkInCluster finds flags that are of no use to a worker, and what must not be recorded.
func (l *line) checkInCluster() error {
	for name := range l.given {
		if name != "strategy" && name != "env" {
			return wrong("--%s does not count in a cluster: of the flags that every program has only --strategy and --env do", name)
		}
	}
	return l.env.checkSecrets()
}

// clusterOptions are the options that the flags set in a cluster.
func (l *line) clusterOptions() (options []askback.Option) {
	if l.given["strategy"] {
		options = append(options, askback.WithStrategy(l.chosen))
	}
	return options
}

// options are the options that the flags set for a local run.
func (l *line) options() []askback.Option {
	options := l.clusterOptions()
	for _, o := range []struct {
		flag   string
		option askback.Option
	}{
		{"server", askback.WithServer(l.server)}, {"dir", askback.WithDir(l.dir)},
		{"durability", askback.WithDurability(askback.Durability(l.durability))}, {"kill", faults.Kill(l.kills, l.seed)},
	} {
		if l.given[o.flag] {
			options = append(options, o.option)
		}
	}
	if l.keep {
		options = append(options, askback.WithKeep())
	}
	return options
}

// strategies lists the strategies with what they promise.
func strategies() string {
	var all []string
	for _, s := range strategy.All() {
		all = append(all, fmt.Sprintf("%v (%v)", s, s.Guarantee()))
	}
	return strings.Join(all, ", ")
}
