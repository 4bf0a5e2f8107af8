// Askback is the command line of the runtime. See askback help.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/daemon"
)

func main() {
	c, ctx := root(), context.Background()
	if cmd, _, err := c.Find(os.Args[1:]); err != nil || cmd.GroupID != groupTools { // tools end by signals as they would
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(ctx, stop) // the second one ends a process that ignores the first
	}
	if err := c.ExecuteContext(ctx); err != nil {
		status := exitStatus(err)
		if status == exitInterrupted {
			err = errors.New("interrupted")
		}
		for line := range strings.SplitSeq(err.Error(), "\n") { // of several errors each has one
			fmt.Fprintln(os.Stderr, "askback:", printable(line))
		}
		os.Exit(status)
	}
}

// Groups of commands in the help text.
const (
	groupTopologies = "topologies"
	groupCluster    = "cluster"
	groupTools      = "tools"
)

func root() *cobra.Command {
	cobra.EnableCommandSorting = false // they stand in the order in which one needs them
	c := &cobra.Command{
		Use:   "askback",
		Short: "Storm-like streams over NATS; a restored task asks back for the tuples that it missed",
		Long: `Askback runs Storm-like topologies over NATS. A task never waits for acknowledgements of tuples; one that is
restored after a failure asks its sources for exactly the tuples that it missed.

A topology is a Go program of its own, which runs by itself on one machine ("askback new" writes one), or on a cluster:

  askback dev                       a cluster on this machine, in one terminal
  askback submit ./wordcount        in another one
  askback list

Commands that ask a cluster find it by --server, --creds, --ca and --prefix, or by the environment (ASKBACK_SERVER and so
on), or by a file that --config names. All of them print JSON with --json. "askback completion --help" shows how a shell
learns to complete commands and names of topologies.

` + exitHelp,
		Version:       daemon.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.AddGroup(
		&cobra.Group{ID: groupTopologies, Title: "Topologies:"},
		&cobra.Group{ID: groupCluster, Title: "The cluster:"},
		&cobra.Group{ID: groupTools, Title: "Tools:"},
	)
	c.AddCommand(
		newCommand(), submitCommand(), listCommand(), describeCommand(), explainCommand(), logsCommand(), tapCommand(),
		activateCommand(), deactivateCommand(), rebalanceCommand(), restartCommand(), levelCommand(), killCommand(),
		devCommand(), serverCommand(), authCommand(), settingsCommand(), removeCommand(),
		simCommand(), benchCommand(), measureCommand(), natsCommand(),
	)
	for _, tool := range c.Commands() {
		if tool.GroupID == "" {
			tool.GroupID = groupTools
		}
	}
	c.SetHelpCommandGroupID(groupTools)
	c.SetCompletionCommandGroupID(groupTools)
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usage(err) })
	daemon.Wrap(c)
	return c
}
