package daemon_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/daemon"
	"github.com/askback/askback/internal/settings"
)

func run(ctx context.Context, c *cobra.Command, args ...string) error {
	c.SetArgs(args)
	c.SetOut(io.Discard)
	c.SetErr(io.Discard)
	return c.ExecuteContext(ctx)
}

// Invalid settings fail at start-up, and the error names the setting.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "wrong.yaml")
	if err := os.WriteFile(file, []byte("detection: 3s\nleash: 2s\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		program func() *cobra.Command
		args    string
		want    string
	}{
		{daemon.NimbusCommand, "--config " + file, `wrong.yaml:2: nimbus has no setting "leash"`},
		{daemon.SupervisorCommand, "--config " + file, `has no setting "leash"`},
		{daemon.NimbusCommand, "--detection 10ms", "Detection"},
		{daemon.NimbusCommand, "--durability sometimes", "sometimes"},
		{daemon.NimbusCommand, "--log-level loud", "debug, info, warn or error"},
		{daemon.NimbusCommand, "--log-format xml", "json or text"},
		{daemon.NimbusCommand, "--name a.>", "name"},
		{daemon.NimbusCommand, "--creds x.creds", "--trust"},
		{daemon.NimbusCommand, "--creds x.creds --trust " + file, "no account's public key"},
		{daemon.NimbusCommand, "--issuer " + file, "--creds"},
		{daemon.NimbusCommand, "extra", "extra"},
		{daemon.NimbusCommand, "--server nats://192.0.2.1:4222", "TLS and credentials"},
		{daemon.SupervisorCommand, "--name ../x --dir " + dir, "Name"},
		{daemon.SupervisorCommand, "--tags a,b.c --dir " + dir, "Tags"},
		{daemon.SupervisorCommand, "--slots -1 --dir " + dir, "slots is -1: want 1 or more"},
		{daemon.SupervisorCommand, "--slots 0 --dir " + dir, "slots is 0: want 1 or more"},
		{daemon.SupervisorCommand, "--memory lots", "bytes"},
		{daemon.SupervisorCommand, "--creds x.creds --dir " + dir, "--trust"},
		{daemon.SupervisorCommand, "--server nats://192.0.2.1:4222 --dir " + dir, "TLS and credentials"},
	} {
		err := run(t.Context(), c.program(), strings.Fields(c.args)...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want something with %q", c.args, err, c.want)
		}
	}
	if err := run(t.Context(), daemon.NimbusCommand(), "--server", "nats://192.0.2.1:4222"); !errors.Is(err, natscluster.ErrInsecure) {
		t.Error(err)
	}
}

// A file may set the same settings as flags.
func TestEverySettingIsAFlag(t *testing.T) {
	programs := map[string]*cobra.Command{"nimbus": daemon.NimbusCommand(), "supervisor": daemon.SupervisorCommand()}
	for _, table := range daemon.Tables() {
		c := programs[table.Program()]
		for _, s := range table.Settings() {
			if c == nil || c.Flags().Lookup(s.Name) == nil {
				t.Errorf("%s has no flag --%s", table.Program(), s.Name)
			}
		}
		if !strings.Contains(c.Long, settings.Explained(table.Program())) {
			t.Errorf("the help of %s does not mention the environment and the file", table.Program())
		}
	}
}

// A default in words stands alone in the help text, without this machine's number.
func TestDefaultsInWords(t *testing.T) {
	c := daemon.SupervisorCommand()
	help := c.UsageString()
	if !strings.Contains(help, "(default: one for each processor)") || strings.Contains(help, "processor) (default ") {
		t.Errorf("the default of --slots is not there once, in words:\n%s", help)
	}
}
