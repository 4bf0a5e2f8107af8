package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/nimbus"
	"github.com/askback/askback/internal/cluster/supervisor"
	"github.com/askback/askback/internal/daemon"
)

// A devCluster is a whole cluster in one process; its workers are processes of their own.
type devCluster struct {
	listen, dir, level string
	slots              int
	detection          time.Duration
	out, err           io.Writer
}

func devCommand() *cobra.Command {
	var d devCluster
	cmd := &cobra.Command{
		Use: "dev", Short: "Run a whole cluster on this machine", GroupID: groupCluster, Args: exactly(0),
		Long: `Dev runs a NATS server, a nimbus and a supervisor until Ctrl-C, which ends everything, workers too.

It listens on this machine only, without credentials: any user of this machine can have programs run as your workers are
(as root: askback-worker or nobody). Its store is deleted at the end, unless --dir names a place for it. Then the
topologies that ran go on with the next "askback dev" on that directory.`,
		Example: `  askback dev
  askback dev --dir ./cluster --slots 4`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out, d.err = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return d.run(cmd.Context())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&d.listen, "listen", "127.0.0.1:4222", "address of the NATS server, on loopback; port 0 is a free one")
	flags.StringVar(&d.dir, "dir", "", "directory that keeps everything (default: a temporary one)")
	flags.IntVar(&d.slots, "slots", 4, "how many workers may run")
	flags.DurationVar(&d.detection, "detection", cluster.Detection, "after how long without a sign of life a worker is given up")
	flags.StringVar(&d.level, "log-level", "warn", "how much nimbus and supervisor log: debug, info, warn or error")
	return cmd
}

// run runs all parts until ctx ends or one of them fails. The supervisor ends first, and its workers with it; then
// nimbus, then the server.
func (d *devCluster) run(ctx context.Context) (err error) {
	if d.slots < 1 {
		return usage(fmt.Errorf("--slots %d: want 1 or more", d.slots))
	}
	log, err := daemon.NewLogger(d.level, "", d.err)
	if err != nil {
		return usage(err)
	}
	if d.dir == "" {
		if d.dir, err = os.MkdirTemp("", "askback-dev-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
		if err := os.Chmod(d.dir, 0o711); err != nil { // workers of another user pass through
			return err
		}
	} else if err := os.MkdirAll(d.dir, 0o711); err != nil {
		return err
	}
	server, err := startServer(d.listen, filepath.Join(d.dir, "nats"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()

	connection := natscluster.Connection{Servers: server.URL()}
	n, err := nimbus.New(nimbus.Config{Connection: connection, Name: "dev", Detection: d.detection, Log: log.Named("nimbus")})
	if err != nil {
		return err
	}
	s, err := supervisor.New(supervisor.Config{
		Connection: connection, Name: "local", Dir: filepath.Join(d.dir, "supervisor"), Slots: d.slots, StopWorkers: true, Log: log.Named("supervisor"),
	})
	if err != nil {
		return err
	}
	return d.parts(ctx, n.Run, s.Run, func(ctx context.Context) error { return d.ready(ctx, server.URL(), log) })
}

// parts runs nimbus and supervisor, and a goroutine that waits for both.
func (d *devCluster) parts(ctx context.Context, nimbus, supervisor, ready func(context.Context) error) error {
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	leading, stop := context.WithCancel(context.WithoutCancel(ctx))
	var leader, rest sync.WaitGroup
	run := func(group *sync.WaitGroup, ctx context.Context, part func(context.Context) error) {
		group.Go(func() {
			if err := part(ctx); err != nil && ctx.Err() == nil {
				fail(err)
			}
		})
	}
	run(&leader, leading, nimbus)
	run(&rest, ctx, supervisor)
	run(&rest, ctx, ready)
	rest.Wait()
	if ctx.Err() == nil { // the supervisor has ended by itself
		fail(errors.New("the supervisor has ended"))
	}
	stop()
	leader.Wait()
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// ready reports that the cluster is up, and the next steps.
func (d *devCluster) ready(ctx context.Context, url string, log *zap.Logger) error {
	c := natscluster.Connection{Servers: url}
	nc, err := c.Connect("askback dev", &natscluster.User{})
	if err != nil {
		return err
	}
	defer nc.Close()
	subjects := c.Subjects()
	for {
		list, err := natscluster.Request[cluster.ListReply](ctx, nc, subjects.API(cluster.View, cluster.VerbList), struct{}{})
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		if len(list.Hosts) > 0 && list.Hosts[0].State == "up" {
			d.welcome(url, len(list.Topologies))
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	log.Info("ready")
	<-ctx.Done()
	fmt.Fprintln(d.out, "stopping")
	return nil
}

func (d *devCluster) welcome(url string, topologies int) {
	where := ""
	if url != "nats://127.0.0.1:4222" {
		where = "\n  export ASKBACK_SERVER=" + url
	}
	fmt.Fprintf(d.out, `a cluster is ready: NATS on %s, a nimbus, a supervisor with %s, data in %s

Next, in another terminal:
%s
  askback new words && cd words && go build   a topology to start from
  askback submit ./words --workers 2
  askback list                                what runs
  askback describe words                      where, and how far it is
  askback restart words count.1               kill a task
  askback explain words                       how it came back

Ctrl-C ends it all.
`, url, plural(d.slots, "slot"), d.dir, where)
	if topologies > 0 {
		fmt.Fprintf(d.out, "topologies of the last run on this directory: %d; \"askback list\" shows how they are\n", topologies)
	}
}
