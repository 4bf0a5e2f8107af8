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
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/daemon"
	"github.com/askback/askback/internal/settings"
)

// clientFlags are what the command line of a request to a cluster says.
type clientFlags struct {
	natscluster.Connection
	timeout time.Duration
	json    bool
	table   *settings.Table
}

// bind adds the flags of all requests to a command.
func (c *clientFlags) bind(cmd *cobra.Command) {
	c.table = c.settings()
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.BoolVar(&c.json, "json", false, "print JSON")
	c.table.Bind(flags)
}

// settings returns the table of what may also stand in the environment or a file.
func (c *clientFlags) settings() *settings.Table {
	c.timeout = 5 * time.Second
	t := settings.New("askback")
	daemon.AddConnection(t, &c.Connection)
	t.Add(&c.timeout, settings.Setting{Name: "timeout", About: "how long an answer is waited for"})
	return t
}

// errTimeout: the timeout of the command line is none.
var errTimeout = errors.New("--timeout: want more than 0, such as 5s")

// dial connects to the cluster. The caller closes the session.
func (c *clientFlags) dial(cmd *cobra.Command) (*session, error) {
	if err := c.table.Resolve(); err != nil {
		return nil, usage(err)
	}
	if c.timeout <= 0 {
		return nil, usage(errTimeout)
	}
	user, err := c.User()
	if err != nil {
		return nil, err
	}
	s := &session{
		subjects: c.Subjects(), servers: c.Servers, timeout: c.timeout, json: c.json,
		out: cmd.OutOrStdout(), err: cmd.ErrOrStderr(), denied: make(chan error, 1),
	}
	s.nc, err = c.Connect("askback "+cmd.Name(), user, nats.ErrorHandler(s.onError), nats.Timeout(c.timeout))
	if err != nil {
		return nil, connecting(err)
	}
	return s, nil
}

// A session is a connection to the cluster, for one command.
type session struct {
	nc       *nats.Conn
	subjects natscluster.Subjects
	servers  string
	timeout  time.Duration
	json     bool
	out, err io.Writer
	denied   chan error // the first denial: NATS tells of it later, and not to whom it concerns
}

func (s *session) close() { s.nc.Close() }

func (s *session) onError(_ *nats.Conn, _ *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		select {
		case s.denied <- err:
		default:
		}
	}
}

// waitingNotice is after how long without an answer one is told that it is waited for.
const waitingNotice = 700 * time.Millisecond

// ask asks the leading nimbus. While none answers it says so, and goes on asking until the timeout.
func ask[Answer any](ctx context.Context, s *session, role cluster.Role, verb string, question any) (Answer, error) {
	answer, err := request[Answer](ctx, s, s.subjects.API(role, verb), question)
	if errors.Is(err, errDenied) {
		err = fmt.Errorf("%w; %s needs the role %s: use the --creds of a user who has it", err, verb, role)
	}
	if errors.Is(err, cluster.ErrNoNimbus) && ctx.Err() == nil {
		err = noNimbus(s.timeout, err)
	}
	return answer, err
}

// request asks whoever listens on a subject.
func request[Answer any](ctx context.Context, s *session, subject string, question any) (answer Answer, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	limited, stop := context.WithTimeout(ctx, s.timeout)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		told := time.NewTimer(waitingNotice)
		defer told.Stop()
		for {
			select {
			case <-told.C:
				fmt.Fprintln(s.err, "waiting for a nimbus …")
			case err := <-s.denied:
				cancel(fmt.Errorf("%w: %w", errDenied, err))
			case <-limited.Done():
				return
			}
		}
	}()
	answer, err = natscluster.Request[Answer](limited, s.nc, subject, question)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	stop()
	cancel(nil)
	<-watched
	return answer, err
}

// print prints an answer as JSON, or in words.
func (s *session) print(answer any, words func() error) error {
	if !s.json {
		return words()
	}
	e := json.NewEncoder(s.out)
	e.SetIndent("", "  ")
	return e.Encode(answer)
}

func (s *session) say(format string, args ...any) error {
	_, err := fmt.Fprintln(s.out, printable(fmt.Sprintf(format, args...)))
	return err
}

// noNimbus says what to do where nobody answers.
func noNimbus(waited time.Duration, err error) error {
	return fmt.Errorf("no nimbus answered within %v: what runs goes on without; start one (see \"nimbus --help\"), and check --server and --prefix: %w", waited, err)
}

// connecting says what to do about an error of connecting. Other errors it leaves alone.
func connecting(err error) error {
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired):
		return fmt.Errorf("%w: %w; --creds names a file of yours that \"askback auth init\" has made", errDenied, err)
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("%w: %w; is it running, and is --server right? \"askback dev\" starts a cluster on this machine", errUnreachable, err)
	}
	return err
}

// find returns the description of a topology.
func (s *session) find(ctx context.Context, name string) (cluster.Description, error) {
	return ask[cluster.Description](ctx, s, cluster.View, cluster.VerbDescribe, cluster.NameRequest{Name: name})
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
	optional                  bool // without a name it is about the cluster
	complete                  func(s *session, ctx context.Context, name string) []string
	flags                     func(cmd *cobra.Command)
	check                     func(args []string) error // of what the command line says, before anybody is asked
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
			defer s.close()
			return o.run(cmd.Context(), s, args)
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
