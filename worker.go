package askback

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/worker"
	"github.com/askback/askback/topology"
)

// Values of cluster.RoleVariable.
const (
	roleWorker   = "worker"
	roleDescribe = "describe"
)

// InCluster reports whether a cluster has started the process, so that RunIfWorker will not return. A program may write
// its results elsewhere then.
func InCluster() bool { return os.Getenv(cluster.RoleVariable) != "" }

// RunIfWorker makes a program with a command line of its own one that "askback submit" accepts; package cli calls it by
// itself. In a process that a cluster has started it runs as a worker, or prints what the topology is, and exits. In any
// other process it returns at once.
//
// Call it when the topology is built, and before anything else is done with it. The topology must be built alike on
// every host: from the arguments given to "askback submit", and from nothing that differs there. In a cluster the
// options strategy, its bounds and delays, and the size of frames count; the cluster sees to the rest.
func RunIfWorker(t topology.Topology, options ...Option) {
	if !InCluster() {
		return
	}
	role := os.Getenv(cluster.RoleVariable)
	_ = os.Unsetenv(cluster.RoleVariable) // processes that an operator starts are no workers
	exit, err := cluster.ExitError, error(nil)
	b, name := (*topology.Builder)(nil), "askback"
	if b, err = builderOf(t); err == nil {
		name = b.Name()
	}
	switch {
	case err != nil:
	case role == roleWorker:
		exit, err = work(b)
	case role == roleDescribe:
		if err = describe(os.Stdout, b, options); err == nil {
			exit = cluster.ExitDone
		}
	default:
		err = fmt.Errorf("askback: %s=%.80q: only supervisors set it; unset it", cluster.RoleVariable, role)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
	}
	os.Exit(exit)
}

// work runs a worker until it is stopped.
func work(b *topology.Builder) (exit int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return worker.Run(ctx, b, &once{os.NewFile(cluster.LaunchFD, "launch")})
}

// once is a file that is closed when it has been read. It holds a secret, which processes that an operator starts must
// not inherit.
type once struct{ *os.File }

func (o *once) Read(b []byte) (int, error) {
	n, err := o.File.Read(b)
	if err != nil {
		_ = o.Close()
	}
	return n, err
}

// describe prints what the topology is, in one line.
func describe(out io.Writer, b *topology.Builder, options []Option) error {
	c := configured(options)
	if err := c.check(); err != nil {
		return err
	}
	spec, err := worker.Describe(b, c.strategy.String(), c.settings(), c.frameSize)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(spec)
}
