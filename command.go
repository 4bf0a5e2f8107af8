package askback

import (
	"github.com/spf13/cobra"

	"github.com/askback/askback/topology"
)

// command is the command line of a topology program.
func command(b *topology.Builder) *cobra.Command {
	return &cobra.Command{
		Use:           b.Name(),
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := Run(cmd.Context(), b)
			return err
		},
	}
}
