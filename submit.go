package askback

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/client"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/view"
	"github.com/askback/askback/topology"
)

const submitHelp = `Uploads this program to a cluster, which then runs it in workers of its own.

What stands after -- are the program's arguments there; of its flags only --strategy counts in a cluster. The topology
is asked for with these arguments, here and now, and each worker must come to the same one: what it depends on must not
differ from host to host.

Outside loopback, TLS and credentials are required: see "askback auth init".`

const submitExamples = `  %[1]s submit --workers 2
  %[1]s submit --name nightly --server tls://nats.example:4222 --creds me.creds --ca ca.pem -- --strategy barrier`

// submission is what the command line of submit says.
type submission struct {
	conn natscluster.Connection
	what client.Submission
	json bool
}

func submitCommand(b *topology.Builder) *cobra.Command {
	s := submission{conn: client.FromEnvironment()}
	c := &cobra.Command{
		Use:     "submit [-- argument ...]",
		Short:   "Submits the topology to a cluster",
		Long:    submitHelp,
		Example: fmt.Sprintf(submitExamples, b.Name()),
		Args: func(cmd *cobra.Command, args []string) error {
			if dash := cmd.ArgsLenAtDash(); len(args) > 0 && dash != 0 {
				return fmt.Errorf("what is %q? Arguments of the program come after --", args[0])
			}
			return nil
		},
		RunE: s.run,
	}
	p := c.Flags()
	p.SortFlags = false
	p.StringVar(&s.what.Name, "name", "", "name in the cluster (default: "+b.Name()+")")
	p.IntVar(&s.what.Workers, "workers", 1, "how many processes run its tasks")
	p.StringSliceVar(&s.what.Tags, "tags", nil, "run it only on supervisors that have these tags, separated by commas")
	p.BoolVar(&s.what.Inactive, "inactive", false, "let its spouts emit nothing until it is activated")
	p.DurationVar(&s.what.Timeout, "timeout", 0, "how long to wait for a nimbus to answer (default 10s)")
	p.BoolVar(&s.json, "json", false, "print what the cluster has decided as JSON")
	p.StringVar(&s.conn.Servers, "server", s.conn.Servers, "URLs of NATS servers, separated by commas (default nats://127.0.0.1:4222, or "+client.ServerVariable+")")
	p.StringVar(&s.conn.Creds, "creds", s.conn.Creds, "file with credentials (or "+client.CredsVariable+")")
	p.StringVar(&s.conn.CA, "ca", s.conn.CA, "file with the certificate of the servers' authority (or "+client.CAVariable+")")
	p.StringVar(&s.conn.Prefix, "prefix", s.conn.Prefix, "of the cluster's subjects (default "+natscluster.DefaultPrefix+", or "+client.PrefixVariable+")")
	return c
}

func (s *submission) run(cmd *cobra.Command, args []string) error {
	if s.what.Workers < 1 {
		return fmt.Errorf("--workers %d: want 1 or more", s.what.Workers)
	}
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("where is this program? %w", err)
	}
	s.what.Path, s.what.Args = path, args
	if f, ok := cmd.ErrOrStderr().(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.what.Progress = func(done, all int64) { fmt.Fprintf(f, "\ruploading %d %%\x1b[K", 100*done/max(all, 1)) }
		defer func() { fmt.Fprint(f, "\r\x1b[K") }()
	}
	ctx, stop := interruptible(cmd)
	defer stop()
	record, err := client.Submit(ctx, &s.conn, s.what)
	switch {
	case errors.Is(err, cluster.ErrNoNimbus):
		return fmt.Errorf("%w; is one running there? --timeout waits longer", err)
	case err != nil:
		return err
	case s.json:
		return json.NewEncoder(cmd.OutOrStdout()).Encode(view.OfRecord(record, nil))
	}
	fmt.Fprintf(cmd.OutOrStdout(), "submitted %s as %s: %s\n", record.Spec.Name, record.Instance,
		cmp.Or(strings.TrimSpace(record.Shortage), string(record.Status)))
	return nil
}
