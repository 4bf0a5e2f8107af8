package daemon

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/settings"
)

// Main runs a command until it ends, or until SIGTERM or Ctrl-C ends it.
func Main(cmd *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := cmd.ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", cmd.Name(), err)
		os.Exit(1)
	}
}

// Tables returns the settings of all programs, for the reference.
func Tables() []*settings.Table {
	return []*settings.Table{newNimbus().table, newSupervisor().table}
}

// Version describes this build, and the versions of the formats that it shares with others.
func Version() string {
	version := "unknown"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		version = info.Main.Version
	}
	return fmt.Sprintf("%s (runtime %s)", version, cluster.Runtime)
}

// command completes a command with the parts that both have in common.
func command(cmd *cobra.Command, table *settings.Table) *cobra.Command {
	cmd.Args = cobra.NoArgs
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.Version = Version()
	cmd.Long += "\n\n" + settings.Explained(table.Program())
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.Flags().SortFlags = false
	table.Bind(cmd.Flags())
	Wrap(cmd)
	return cmd
}

// Wrap breaks the lines of a command's help text, and of those below it.
func Wrap(cmd *cobra.Command) {
	cmd.SetUsageTemplate(strings.ReplaceAll(cmd.UsageTemplate(), ".FlagUsages ", ".FlagUsagesWrapped 118 "))
}
