package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/client"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/daemon"
	"github.com/askback/askback/internal/settings"
)

// clientFlags are the flags of all commands that send requests to a cluster.
type clientFlags struct {
	natscluster.Connection
	timeout time.Duration
	json    bool
	table   *settings.Table
}

// bind adds the flags to a command.
func (c *clientFlags) bind(cmd *cobra.Command) {
	c.table = c.settings()
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&c.json, "json", false, "print JSON")
	c.table.Bind(flags)
}

// settings returns the table of the flags that may also be set in the environment or a file.
func (c *clientFlags) settings() *settings.Table {
	c.timeout = 5 * time.Second
	t := settings.New("askback")
	daemon.AddConnection(t, &c.Connection)
	t.Add(&c.timeout, settings.Setting{Name: "timeout", About: "how long to wait for an answer"})
	return t
}

// errTimeout occurs when the command line has an invalid timeout.
var errTimeout = errors.New("--timeout: want more than 0, such as 5s")

// dial connects to the cluster. The caller closes the session.
func (c *clientFlags) dial(cmd *cobra.Command) (*session, error) {
	if err := c.table.Resolve(); err != nil {
		return nil, usage(err)
	}
	if c.timeout <= 0 {
		return nil, usage(errTimeout)
	}
	s := &session{timeout: c.timeout, json: c.json, out: cmd.OutOrStdout(), err: cmd.ErrOrStderr()}
	var err error
	s.Client, err = client.Dial(client.Options{
		Connection: c.Connection, Name: "askback " + cmd.Name(), Timeout: c.timeout,
		OnWaiting: func() { fmt.Fprintln(s.err, "waiting for a nimbus …") },
	})
	return s, remedy(err, c.timeout)
}

// A session is a connection to the cluster, for one command, and where the command prints.
type session struct {
	*client.Client
	timeout  time.Duration
	json     bool
	out, err io.Writer
}

// print prints an answer as JSON, or in words.
func (s *session) print(answer any, words func() error) error {
	if !s.json {
		return words()
	}
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(answer)
}

func (s *session) say(format string, args ...any) error {
	_, err := fmt.Fprintln(s.out, printable(fmt.Sprintf(format, args...)))
	return err
}

// remedy adds to an error of a client the remedy of its user.
func remedy(err error, waited time.Duration) error {
	switch {
	case errors.Is(err, client.ErrDenied) && (errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired)):
		return fmt.Errorf("%w; --creds names a file of yours that \"askback auth init\" has made", err)
	case errors.Is(err, client.ErrDenied):
		return fmt.Errorf("%w: use the --creds of a user who has it", err)
	case errors.Is(err, client.ErrUnreachable):
		return fmt.Errorf("%w; is it running, and is --server right? \"askback dev\" starts a cluster on this machine", err)
	case errors.Is(err, cluster.ErrNoNimbus) && !errors.Is(err, context.Canceled):
		return fmt.Errorf("no nimbus answered within %v: running topologies go on without; start one (see \"nimbus --help\"), and check --server and --prefix: %w", waited, err)
	}
	return err
}

// topologyName checks a name from the command line.
func topologyName(name string) error {
	if err := cluster.CheckName("topology", name, cluster.MaxName); err != nil {
		return usage(err)
	}
	return nil
}

// A oneTopology is a command whose first argument names a topology.
type oneTopology struct {
	clientFlags
	use, short, long, example string
	more                      int  // further arguments
	optional                  bool // without a name the command is about the cluster
	complete                  func(s *session, ctx context.Context, name string) []string
	flags                     func(cmd *cobra.Command)
	check                     func(args []string) error // of the command line, before any request
	run                       func(ctx context.Context, s *session, args []string) error
}

// command makes the command.
func (o *oneTopology) command() *cobra.Command {
	cmd := &cobra.Command{
		Use: o.use, Short: o.short, Long: o.long, Example: o.example, GroupID: groupTopologies,
		Args: func(cmd *cobra.Command, args []string) error {
			if o.optional && len(args) == 0 {
				return nil
			}
			if err := exactly(1+o.more)(cmd, args); err != nil {
				return err
			}
			return topologyName(args[0])
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.check != nil {
				if err := o.check(args); err != nil {
					return usage(err)
				}
			}
			s, err := o.dial(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			return remedy(o.run(cmd.Context(), s, args), o.timeout)
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return o.completion(cmd, args)
		},
	}
	if o.flags != nil {
		o.flags(cmd)
	}
	o.bind(cmd)
	return cmd
}
