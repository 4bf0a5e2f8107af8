package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster/client"
	"github.com/askback/askback/msgid"
)

func logsCommand() *cobra.Command {
	var task string
	var query client.LogsQuery
	o := &oneTopology{
		use: "logs NAME", short: "Print the output of a topology's workers",
		long: `Logs prints the newest lines that the workers of a topology have written to standard output and standard error, each
behind its worker (supervisor/slot) if there are several. They come from the supervisors, which keep them in files.

With --task only lines of that task's logger are printed; the program's own output belongs to no task. With --follow new
lines follow until Ctrl-C, also those of workers that start later, wherever they are.`,
		example: `  askback logs wordcount
  askback logs wordcount --task count.1 --follow`,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&task, "task", "", "only lines of this task, such as count.1")
			cmd.Flags().IntVar(&query.Tail, "tail", 100, "how many of the newest lines of each worker")
			cmd.Flags().BoolVarP(&query.Follow, "follow", "f", false, "go on with new lines, until Ctrl-C; with --json one object a line")
		},
	}
	o.check = func([]string) error {
		if query.Tail < 1 {
			return fmt.Errorf("--tail %d: want 1 or more", query.Tail)
		}
		if task == "" {
			return nil
		}
		alias, err := msgid.ParseAlias(task)
		query.Task = &alias
		return err
	}
	o.run = func(ctx context.Context, s *session, args []string) error {
		query.Topology = args[0]
		query.OnError = func(err error) { fmt.Fprintln(s.err, printable(err.Error())) }
		return s.Logs(ctx, query, func(l client.LogLine) error {
			switch {
			case s.json:
				line := json.NewEncoder(s.out)
				line.SetEscapeHTML(false)
				return line.Encode(l)
			case l.Several:
				return s.say("%s/%d  %s", l.Supervisor, l.Slot, l.Line)
			}
			return s.say("%s", l.Line)
		})
	}
	return o.command()
}
