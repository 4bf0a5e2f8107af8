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

// Main runs a topology as a program: it reads the command line, runs, prints what happened and exits. It also submits
// itself to a cluster, and is what the cluster then runs. See Run for running a topology from within another program,
// and Serve for a program with a command line of its own. Options are what the command line does not say otherwise.
func Main(b *topology.Builder, options ...Option) {
	if os.Getenv(cluster.RoleVariable) != roleDescribe { // which depends on the command line
		Serve(b, options...)
	}
	if err := command(b, options).Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", b.Name(), err)
		os.Exit(1)
	}
}

// Values of cluster.RoleVariable.
const (
	roleWorker   = "worker"
	roleDescribe = "describe"
)

// InCluster reports whether the process was started on behalf of a cluster, so that Serve will not return: a program may
// write its results elsewhere then.
func InCluster() bool { return os.Getenv(cluster.RoleVariable) != "" }

// Serve is for programs that read the command line themselves and call Run: with it they can be submitted to a cluster
// by "askback submit". It returns at once, unless the process was started on behalf of a cluster. Then it is a worker,
// or says what the topology is, and does not return.
//
// Call it when the topology is built, and before anything else is done with it. It must be built alike on every host: of
// the arguments given to "askback submit", and of nothing that differs there. Of the options WithStrategy, WithSettings
// and WithFrameSize count in a cluster; the cluster sees to the rest.
func Serve(b *topology.Builder, options ...Option) {
	if !InCluster() {
		return
	}
	role := os.Getenv(cluster.RoleVariable)
	_ = os.Unsetenv(cluster.RoleVariable) // it is not for the processes that an operator may start
	exit, err := cluster.ExitError, error(nil)
	switch role {
	case roleWorker:
		exit, err = work(b)
	case roleDescribe:
		if err = describe(os.Stdout, b, options); err == nil {
			exit = cluster.ExitDone
		}
	default:
		err = fmt.Errorf("askback: %s=%.80q: it is for supervisors; unset it", cluster.RoleVariable, role)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", b.Name(), err)
	}
	os.Exit(exit)
}

// work runs a worker until it is told to stop.
func work(b *topology.Builder) (exit int, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return worker.Run(ctx, b, &once{os.NewFile(cluster.LaunchFD, "launch")})
}

// once is a file that is closed when it has been read. It holds a secret, and is not for processes that are started.
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
	spec, err := worker.Describe(b, c.strategy.String(), c.settings(), c.frameSize)
	if err != nil {
		return err
	}
	return json.NewEncoder(out).Encode(spec)
}
