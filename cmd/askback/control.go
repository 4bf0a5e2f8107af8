package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/client"
	"github.com/askback/askback/internal/cluster/view"
	"github.com/askback/askback/msgid"
)

func killCommand() *cobra.Command {
	var wait time.Duration
	o := &oneTopology{
		use: "kill NAME", short: "End a topology",
		long: `Kill stops a topology's spouts at once, and ends its workers and deletes its log after --wait, so that tuples under way
can be processed. Killed twice, the earlier moment counts.`,
		example: `  askback kill wordcount
  askback kill wordcount --wait 0s    now`,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long tuples under way may take")
		},
	}
	o.check = func([]string) error {
		if wait < 0 {
			return fmt.Errorf("--wait %v: want 0s or more", wait)
		}
		return nil
	}
	o.run = func(ctx context.Context, s *session, args []string) error {
		r, err := s.Kill(ctx, args[0], wait)
		if err != nil {
			return err
		}
		return s.print(view.OfRecord(r), func() error {
			left := time.Until(r.KillAt)
			if r.KillAt.IsZero() || left < 100*time.Millisecond {
				return s.say("%s ends now", args[0])
			}
			return s.say("%s emits nothing more, and ends in %s; --wait 0s ends it now", args[0], span(left.Round(time.Second)))
		})
	}
	return o.command()
}

func activateCommand() *cobra.Command {
	return nameCommand("activate", (*client.Client).Activate, "Let a topology's spouts emit",
		"Activate lets the spouts of a topology emit that was deactivated, or submitted with --inactive. A topology that has "+
			"failed\nis tried again: its failed tasks are restored from their logs.")
}

func deactivateCommand() *cobra.Command {
	return nameCommand("deactivate", (*client.Client).Deactivate, "Let a topology's spouts emit nothing",
		"Deactivate keeps a topology's spouts from emitting. Its tasks live on, and finish the tuples under way.")
}

// nameCommand is a command whose request has only a name.
func nameCommand(use string, request func(*client.Client, context.Context, string) (*cluster.Record, error), short, long string) *cobra.Command {
	o := &oneTopology{use: use + " NAME", short: short, long: long}
	o.run = func(ctx context.Context, s *session, args []string) error {
		r, err := request(s.Client, ctx, args[0])
		if err != nil {
			return err
		}
		return s.print(view.OfRecord(r), func() error { return s.say("%s is %s", args[0], r.Status) })
	}
	return o.command()
}

func restartCommand() *cobra.Command {
	o := &oneTopology{
		use: "restart NAME TASK", short: "Restart one task of a topology",
		long: `Restart ends a task as a crash would. It is restored from its log, and asks its sources for the tuples that it missed; no other
task restarts. "askback explain" shows how that went.`,
		example: `  askback restart wordcount count.1`,
		more:    1, complete: tasksOf,
	}
	var task msgid.Alias
	o.check = func(args []string) (err error) {
		task, err = msgid.ParseAlias(args[1])
		return err
	}
	o.run = func(ctx context.Context, s *session, args []string) error {
		r, err := s.Restart(ctx, args[0], task)
		if err != nil {
			return err
		}
		return s.print(view.OfRecord(r), func() error { return s.say("%v restarts; \"askback explain %s\" shows how", task, args[0]) })
	}
	return o.command()
}

func levelCommand() *cobra.Command {
	var length time.Duration
	o := &oneTopology{
		use: "log-level NAME LEVEL", short: "Change for a while how much a topology logs",
		long: `Log-level makes the workers of a topology log at level debug, info, warn or error, and after --for as before.`,
		more: 1, complete: func(*session, context.Context, string) []string { return cluster.Levels },
		example: `  askback log-level wordcount debug --for 1m`,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().DurationVar(&length, "for", 10*time.Minute, "how long")
		},
	}
	o.check = func(args []string) error {
		if !slices.Contains(cluster.Levels, args[1]) {
			return fmt.Errorf("level %.40q: there are debug, info, warn and error", args[1])
		}
		if length <= 0 {
			return fmt.Errorf("--for %v: want more than 0, such as 10m", length)
		}
		return nil
	}
	o.run = func(ctx context.Context, s *session, args []string) error {
		r, err := s.SetLogLevel(ctx, args[0], args[1], length)
		if err != nil {
			return err
		}
		return s.print(view.OfRecord(r), func() error {
			return s.say("%s logs at level %s for %s", args[0], r.Level.Name, span(length))
		})
	}
	return o.command()
}

func removeCommand() *cobra.Command {
	var c clientFlags
	cmd := &cobra.Command{
		Use: "remove-host NAME", Short: "Forget a supervisor that is gone for good", GroupID: groupCluster,
		Long: `Remove-host makes nimbus forget a supervisor that will not come back. Its workers' tasks have moved before: this only
takes it off the list. One that lives joins again by itself.`,
		Args: exactly(1),
		ValidArgsFunction: func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return c.completing(cmd, func(ctx context.Context, s *session) (names []string) {
				list, err := s.List(ctx)
				if err != nil {
					return nil
				}
				for _, h := range list.Hosts {
					names = append(names, h.Host.Name+"\t"+printable(h.State))
				}
				return names
			})
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := cluster.CheckName("supervisor", args[0], msgid.MaxName); err != nil {
				return usage(err)
			}
			s, err := c.dial(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			h, err := s.RemoveHost(cmd.Context(), args[0])
			if err != nil {
				return remedy(err, c.timeout)
			}
			return s.print(view.OfHost(h), func() error { return s.say("supervisor %s is forgotten", args[0]) })
		},
	}
	c.bind(cmd)
	return cmd
}
