package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/askback/askback"
	"github.com/askback/askback/topology"
)

// A Program is a topology with a command line. Only Build is required.
type Program struct {
	// Name is what the program is called in its help and its errors. Default: the base name of os.Args[0].
	Name string
	// About is what --help prints first: a sentence or a few.
	About string
	// Flags declares the program's own flags. They must not have the name of a flag that every program has. It may be
	// called twice, each time with a new set.
	Flags func(*flag.FlagSet)
	// Args shows in the usage line what arguments the program takes, such as "[path ...]". Default: it takes none.
	Args string
	// Build returns the topology, from the program's flags and arguments alone. Each worker of a cluster calls it, too,
	// and must build the same. An error ends the program.
	Build func(args []string) (topology.Topology, error)
	// Options returns the options of the run. It is called after the flags are read, which win over it. Default: none.
	Options func() []askback.Option
	// Done is called after a local run that ended without an error, before its summary is printed. Its error ends the
	// program with exit status 1. Default: no call.
	Done func(*askback.Report) error
}

// Main runs a topology as a program without flags of its own, and exits. Options are what the command line does not set
// otherwise.
func Main(t topology.Topology, options ...askback.Option) {
	p := Program{
		Build:   func([]string) (topology.Topology, error) { return t, nil },
		Options: func() []askback.Option { return options },
	}
	if t != nil {
		p.Name = t.Name()
	}
	p.Main()
}

// Main runs the program with the arguments of the process, and exits. See the package for the exit statuses.
func (p Program) Main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends what does not heed the first
	os.Exit(p.main(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit statuses.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130
)

// main runs the program and returns its exit status. It does not return in a process that a cluster has started.
func (p *Program) main(ctx context.Context, args []string, out, complaints io.Writer) (exit int) {
	if p.Name == "" && len(os.Args) > 0 {
		p.Name = strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe")
	}
	err := p.dispatch(ctx, args, out, complaints)
	var wrong *usageError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		fmt.Fprintf(complaints, "%s: %v; --help lists the flags\n", p.Name, err)
		return exitUsage
	case errors.Is(err, errInterrupted):
		fmt.Fprintf(complaints, "%s: %v\n", p.Name, err)
		return exitInterrupted
	}
	for line := range strings.Lines(err.Error()) { // several errors are a line each
		fmt.Fprintf(complaints, "%s: %s\n", p.Name, strings.TrimRight(line, "\n"))
	}
	return exitFailed
}

// dispatch carries out the command line.
func (p *Program) dispatch(ctx context.Context, args []string, out, complaints io.Writer) error {
	if p.Build == nil {
		return errors.New("cli: the program has no Build: it must return the topology")
	}
	inCluster := askback.InCluster()
	if len(args) > 0 && args[0] == "submit" && !inCluster {
		return p.submit(ctx, args[1:], out, complaints)
	}
	l, err := p.parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return p.help(out)
	case err != nil:
		return err
	case inCluster:
		return p.work(l)
	case l.plan || l.dot:
		return p.print(l, out)
	}
	return p.run(ctx, l, out, complaints)
}

// build returns the topology that the command line describes, and the options of its run without those of flags.
func (p *Program) build(l *line) (topology.Topology, []askback.Option, error) {
	t, err := p.Build(l.args)
	if err != nil {
		return nil, nil, err
	}
	if t == nil {
		return nil, nil, errors.New("cli: Build returned neither a topology nor an error")
	}
	var options []askback.Option
	if p.Options != nil {
		options = p.Options()
	}
	return t, options, nil
}

// work is what the program does in a cluster. It returns only if it cannot.
func (p *Program) work(l *line) error {
	if err := l.checkInCluster(); err != nil {
		return err
	}
	t, options, err := p.build(l)
	if err != nil {
		return err
	}
	askback.RunIfWorker(t, append(options[:len(options):len(options)], l.clusterOptions()...)...)
	return nil
}

// print prints the plan.
func (p *Program) print(l *line, out io.Writer) error {
	t, _, err := p.build(l)
	if err != nil {
		return err
	}
	plan, err := t.Builder().Build()
	switch {
	case err != nil:
		return err
	case l.dot:
		_, err = fmt.Fprint(out, plan.Graphviz())
	default:
		_, err = fmt.Fprint(out, plan)
	}
	return err
}
