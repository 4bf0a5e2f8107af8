package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/daemon"
	"github.com/askback/askback/internal/settings"
)

func settingsCommand() *cobra.Command {
	return &cobra.Command{
		Use: "settings [PROGRAM]", Short: "Print all settings of all programs, with units and defaults", GroupID: groupCluster,
		Long: `Settings prints, in Markdown, the settings of nimbus, supervisor, and the commands of askback that ask a cluster.`,
		Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: func(*cobra.Command, []string, string) (names []string, _ cobra.ShellCompDirective) {
			for _, t := range allTables() {
				names = append(names, t.Program())
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return writeReference(cmd.OutOrStdout())
			}
			var names []string
			for _, t := range allTables() {
				if names = append(names, t.Program()); t.Program() == args[0] {
					return t.Reference(cmd.OutOrStdout())
				}
			}
			return usage(fmt.Errorf("there is no program %.40q: there are %s", args[0], strings.Join(names, ", ")))
		},
	}
}

func allTables() []*settings.Table { return append(daemon.Tables(), new(clientFlags).settings()) }

const reference = `# Settings

The output of "askback settings". Each setting is a flag (` + "`--stop-wait 5s`" + `), an environment variable (` + "`ASKBACK_STOP_WAIT=5s`" + `) and
a key of the YAML file that ` + "`--config`" + ` names (` + "`stop-wait: 5s`" + `). A flag wins over the environment, which wins over the file,
which wins over the default. A key that is no setting is an error.

`

// writeReference writes docs/settings.md.
func writeReference(w io.Writer) error {
	if _, err := io.WriteString(w, reference); err != nil {
		return err
	}
	for i, t := range allTables() {
		if i > 0 {
			fmt.Fprintln(w)
		}
		if err := t.Reference(w); err != nil {
			return err
		}
	}
	return nil
}
