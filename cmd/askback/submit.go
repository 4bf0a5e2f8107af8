package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster/client"
	"github.com/askback/askback/internal/cluster/view"
)

func submitCommand() *cobra.Command {
	var c clientFlags
	var s client.Submission
	cmd := &cobra.Command{
		Use: "submit BINARY", Short: "Run a topology program on the cluster", GroupID: groupTopologies,
		Long: `Submit uploads a topology program and runs it on the cluster until its input has ended, or until it is killed. The
program is an executable whose main calls cli.Main ("askback new" writes one). It is run here for its description, so
it must run on this machine too. Arguments after -- are given to it, here and on every worker.

With --resume, the topology of that name goes on from its log with this program, in the workers that it has: a repaired
one after a failure, at the very tuple that failed. The plan must be the same.

It is uploaded once: the cluster knows programs by their SHA-256. The program does the same by itself: ./wordcount submit`,
		Example: `  askback submit ./wordcount --name words --workers 2
  askback submit ./wordcount --name words --resume
  askback submit ./wordcount --inactive -- --strategy barrier`,
		Args: func(cmd *cobra.Command, args []string) error {
			if n := cmd.ArgsLenAtDash(); n >= 0 {
				s.Args, args = args[n:], args[:n]
			}
			return exactly(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if s.Name != "" {
				if err := topologyName(s.Name); err != nil {
					return err
				}
			}
			if s.Workers < 1 {
				return usage(fmt.Errorf("--workers %d: want 1 or more", s.Workers))
			}
			session, err := c.dial(cmd)
			if err != nil {
				return err
			}
			defer session.Close()
			s.Path, s.Progress = args[0], uploading(cmd.ErrOrStderr())
			r, err := session.Submit(cmd.Context(), s)
			if err != nil {
				return remedy(err, c.timeout)
			}
			return session.print(view.OfRecord(r), func() error {
				if r.Shortage != "" {
					fmt.Fprintln(cmd.ErrOrStderr(), printable("short: "+r.Shortage))
				}
				return session.say("%s is %s with %s in %s; \"askback describe %s\" shows its workers and tasks", r.Instance, r.Status,
					plural(len(r.Spec.Tasks()), "task"), plural(min(r.Workers, len(r.Spec.Tasks())), "worker"), r.Spec.Name)
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.Name, "name", "", "its name in the cluster (default: the program's own)")
	flags.IntVar(&s.Workers, "workers", 1, "how many worker processes to spread its tasks over")
	flags.StringSliceVar(&s.Tags, "tags", nil, "only on supervisors that have these tags")
	flags.BoolVar(&s.Inactive, "inactive", false, `let its spouts wait for "askback activate"`)
	flags.BoolVar(&s.Resume, "resume", false, "the topology of that name goes on from its log with this program")
	cmd.MarkFlagsMutuallyExclusive("resume", "workers")
	cmd.MarkFlagsMutuallyExclusive("resume", "tags")
	cmd.MarkFlagsMutuallyExclusive("resume", "inactive")
	c.bind(cmd)
	return cmd
}

// uploading prints the progress of an upload that takes long, a line each second.
func uploading(out io.Writer) func(done, all int64) {
	reported := time.Now()
	return func(done, all int64) {
		if time.Since(reported) > time.Second && all > 0 {
			reported = time.Now()
			fmt.Fprintf(out, "uploaded %.0f of %.0f MB\n", float64(done)/1e6, float64(all)/1e6)
		}
	}
}
