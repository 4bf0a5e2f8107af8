// Askback is the command line of the runtime. See askback help.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func main() {
	if err := root().Execute(); err != nil {
		fmt.Fprintln(os.Stderr, "askback:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	c := &cobra.Command{
		Use:   "askback",
		Short: "Storm-like streams over NATS that ask back for what they missed",
		Long: `Askback runs Storm-like topologies over NATS. A task never waits for acknowledgements of tuples; one that is
restored after a failure asks its sources for exactly the tuples that it missed.

A topology is a Go program of its own: see examples/wordcount. This command holds the tools around it.`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	c.AddCommand(simCommand(), benchCommand(), measureCommand(), natsCommand())
	return c
}
