package daemon

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/nimbus"
	"github.com/askback/askback/internal/settings"
)

// A nimbusProgram is nimbus with the settings of its command line.
type nimbusProgram struct {
	nimbus.Config
	logging
	trust, issuer, durability string
	table                     *settings.Table
}

func newNimbus() *nimbusProgram {
	n := &nimbusProgram{table: settings.New("nimbus"), durability: string(natslog.Process)}
	n.Detection, n.Lease, n.StopWait, n.LoginFor = cluster.Detection, 2*time.Second, 5*time.Second, 24*time.Hour
	t := n.table
	AddConnection(t, &n.Connection)
	t.Add(&n.trust, settings.Setting{Name: "trust", Unit: "file", About: "the signers whose programs may run, from \"askback auth init\"; needed with --creds"})
	t.Add(&n.issuer, settings.Setting{Name: "issuer", Unit: "file", About: "by which workers get their permissions, as \"askback auth init\" makes it; needed with --creds"})
	t.Add(&n.Name, settings.Setting{Name: "name", Unit: "name", About: "the name of this nimbus", Otherwise: "the host's name and the process id"})
	t.Add(&n.Detection, settings.Setting{Name: "detection", About: "after how long without a sign of life a supervisor is given up and its tasks move; at least 1s"})
	t.Add(&n.Lease, settings.Setting{Name: "lease", About: "after how long without a sign of life of the leading nimbus another leads; at least 1s"})
	t.Add(&n.StopWait, settings.Setting{Name: "stop-wait", About: "the supervisors' --stop-wait, their time for a worker to stop by itself: a topology's log outlives it"})
	t.Add(&n.LoginFor, settings.Setting{Name: "login-for", About: "how long a worker's permissions hold before it must renew them"})
	t.Add(&n.Replicas, settings.Setting{Name: "replicas", About: "the number of NATS servers that keep each record", Otherwise: "3 where there are as many, else 1"})
	t.Add(&n.durability, settings.Setting{Name: "durability", Unit: "process or power", About: "the promise of the NATS servers' settings: acknowledged writes survive crashes of processes, or (sync_interval: always) a power cut too"})
	n.add(t)
	return n
}

// NimbusCommand returns the program nimbus.
func NimbusCommand() *cobra.Command {
	n := newNimbus()
	return command(&cobra.Command{
		Use:   "nimbus",
		Short: "Decides which tasks of which topologies run where",
		Long: `Nimbus leads a cluster: it takes topologies that are submitted, places their tasks on supervisors, notices when a
supervisor is lost, and moves its tasks. Start two or three, on different hosts: one leads, and another takes over when
it is gone. While none runs, running topologies go on.

It needs a NATS server with JetStream ("askback server" starts one); its decisions are kept there, and nothing on
its own disk. Outside loopback it needs TLS and credentials: "askback auth init" makes them.`,
		Example: `  nimbus                                        an open cluster on this machine
  nimbus --server tls://n1:4222,tls://n2:4222 --ca ca.pem --creds nimbus.creds --trust trust --issuer issuer.json
  nimbus --config /etc/askback/nimbus.yaml`,
		RunE: func(cmd *cobra.Command, _ []string) error { return n.run(cmd.Context(), cmd.ErrOrStderr()) },
	}, n.table)
}

func (n *nimbusProgram) run(ctx context.Context, logs io.Writer) (err error) {
	if err := n.table.Resolve(); err != nil {
		return err
	}
	if n.Log, err = n.logger(logs); err != nil {
		return err
	}
	n.Durability = natslog.Durability(n.durability)
	if n.Trust, err = trust(&n.Connection, n.trust); err != nil {
		return err
	}
	issuer, err := issuer(&n.Connection, n.issuer)
	if err != nil {
		return err
	}
	if issuer != nil { // a nil *auth.Issuer would not be a nil nimbus.Issuer
		n.Issuer = issuer
	}
	program, err := nimbus.New(n.Config)
	if err != nil {
		return err
	}
	return program.Run(ctx)
}
