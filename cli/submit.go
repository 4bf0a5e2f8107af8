package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/client"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/view"
)

const aboutSubmit = `Uploads this program to a cluster, which then runs it in workers of its own.

The program's arguments there stand behind --; of the flags that every program has only --strategy and --env count. The
program is run here with these arguments to describe its topology, and each worker must build the same one: nothing that
the topology depends on may differ from host to host. The environment does not reach workers; --env sets single
variables there. Arguments and --env are recorded, and all users who may describe the topology can read them.

Outside loopback, TLS and credentials are required: see "askback auth init".
`

const submitExamples = `  %[1]s submit --workers 2
  %[1]s submit --resume
  %[1]s submit --name nightly --server tls://nats.example:4222 --creds me.creds --ca ca.pem -- --strategy barrier
`

// A submission is the command line of submit.
type submission struct {
	conn natscluster.Connection
	what client.Submission
	tags string
	env  environment
	json bool
}

// flags declares the flags of submit.
func (s *submission) flags(name string) *flag.FlagSet {
	f := newFlagSet()
	f.StringVar(&s.what.Name, "name", "", "`name` in the cluster (default: "+name+")")
	f.IntVar(&s.what.Workers, "workers", 1, "`number` of processes that run its tasks")
	f.StringVar(&s.tags, "tags", "", "run it only on supervisors that have these `tags`, separated by commas")
	f.BoolVar(&s.what.Inactive, "inactive", false, "let its spouts emit nothing until it is activated")
	f.BoolVar(&s.what.Resume, "resume", false, "the topology of that name, such as one that has failed, goes on from its log with this program, in the workers that it has")
	f.Var(&s.env, "env", "set an environment variable in workers, `NAME=VALUE`, or pass on NAME as it is here; repeatable, and not for secrets")
	f.DurationVar(&s.what.Timeout, "timeout", 0, "how long to wait for a nimbus to answer (default 10s)")
	f.BoolVar(&s.json, "json", false, "print the record that the cluster has made as JSON")
	f.StringVar(&s.conn.Servers, "server", s.conn.Servers, "`URLs` of NATS servers, separated by commas (default nats://127.0.0.1:4222, or "+client.ServerVariable+")")
	f.StringVar(&s.conn.Creds, "creds", s.conn.Creds, "`file` with credentials (or "+client.CredsVariable+")")
	f.StringVar(&s.conn.CA, "ca", s.conn.CA, "`file` with the certificate of the servers' authority (or "+client.CAVariable+")")
	f.StringVar(&s.conn.Prefix, "prefix", s.conn.Prefix, "`prefix` of the cluster's subjects (default "+natscluster.DefaultPrefix+", or "+client.PrefixVariable+")")
	return f
}

// submit submits the program.
func (p *Program) submit(ctx context.Context, args []string, out, complaints io.Writer) error {
	s := submission{conn: client.FromEnvironment()}
	f := s.flags(p.Name)
	if dash := slices.Index(args, "--"); dash >= 0 {
		args, s.what.Args = args[:dash], args[dash+1:]
	}
	rest, err := read(args, f)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return p.submitHelp(out, f)
	case err != nil:
		return err
	case len(rest) > 0:
		return wrong("unexpected argument %.80q: arguments of the program stand behind --", rest[0])
	case s.what.Workers < 1:
		return wrong("--workers %d: want 1 or more", s.what.Workers)
	}
	if err := s.env.checkSecrets(); err != nil {
		return err
	}
	s.what.Args = append(s.env.arguments(), s.what.Args...)
	if s.tags != "" {
		s.what.Tags = strings.Split(s.tags, ",")
	}
	for _, a := range s.what.Args {
		if _, value, _ := strings.Cut(a, "="); hasPassword(a) || hasPassword(value) {
			fmt.Fprintf(complaints, "%s: warning: an argument holds a URL with a password, which all users who may describe the topology can read: put it into a file on the hosts of the workers\n", p.Name)
			break
		}
	}
	if s.what.Path, err = os.Executable(); err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	if file, ok := complaints.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		s.what.Progress = func(done, all int64) { fmt.Fprintf(file, "\ruploading %d %%\x1b[K", 100*done/max(all, 1)) }
		defer func() { fmt.Fprint(file, "\r\x1b[K") }()
	}
	record, err := client.Submit(ctx, &s.conn, s.what)
	switch {
	case errors.Is(err, cluster.ErrNoNimbus):
		return fmt.Errorf("%w; is one running there? --timeout waits longer than %v", err, cmp.Or(s.what.Timeout, 10*time.Second))
	case err != nil:
		return err
	case s.json:
		return json.NewEncoder(out).Encode(view.OfRecord(record))
	}
	_, err = fmt.Fprintf(out, "submitted %s as %s: %s\n", record.Spec.Name, record.Instance,
		cmp.Or(strings.TrimSpace(record.Shortage), string(record.Status)))
	return err
}

// submitHelp prints which flags submit has.
func (p *Program) submitHelp(out io.Writer, f *flag.FlagSet) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n\n%s\nFlags:\n", p.submitUsage(), aboutSubmit)
	list(&b, f)
	b.WriteString("\nExamples:\n")
	fmt.Fprintf(&b, submitExamples, p.Name)
	_, err := io.WriteString(out, b.String())
	return err
}
