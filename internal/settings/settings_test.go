package settings_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/askback/askback/internal/settings"
)

// example is a program's configuration.
type example struct {
	name   string
	slots  int
	wait   time.Duration
	tags   []string
	memory settings.Bytes
	stop   bool
}

func (e *example) table() *settings.Table {
	*e = example{name: "host", slots: 2, wait: 5 * time.Second, memory: 64 << 20}
	t := settings.New("example")
	t.Add(&e.name, settings.Setting{Name: "name", About: "its name"})
	t.Add(&e.slots, settings.Setting{Name: "slots", About: "how many workers"})
	t.Add(&e.wait, settings.Setting{Name: "stop-wait", About: "how long it is waited"})
	t.Add(&e.tags, settings.Setting{Name: "tags", About: "its properties"})
	t.Add(&e.memory, settings.Setting{Name: "memory", About: "for all", Otherwise: "all | of it"})
	t.Add(&e.stop, settings.Setting{Name: "stop", About: "whether it stops"})
	return t
}

// resolve configures the example by a file and flags.
func (e *example) resolve(t *testing.T, file string, args ...string) error {
	t.Helper()
	table := e.table()
	flags := pflag.NewFlagSet("example", pflag.ContinueOnError)
	table.Bind(flags)
	if file != "" {
		path := filepath.Join(t.TempDir(), "example.yaml")
		if err := os.WriteFile(path, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		args = append(args, "--config", path)
	}
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return table.Resolve()
}

// A flag wins over the environment, which wins over the file, which wins over the default.
func TestPrecedence(t *testing.T) {
	t.Setenv("ASKBACK_SLOTS", "5")
	t.Setenv("ASKBACK_STOP_WAIT", "5m")
	t.Setenv("ASKBACK_NAME", "") // as if it were not there
	var e example
	err := e.resolve(t, "slots: 7\nstop-wait: 7s\ntags: [gpu, ssd]\nmemory: 2GiB\nstop: true # a comment\n", "--stop-wait", "9s")
	if err != nil {
		t.Fatal(err)
	}
	if e.wait != 9*time.Second || e.slots != 5 || e.name != "host" || e.memory != 2<<30 || !e.stop || !slices.Equal(e.tags, []string{"gpu", "ssd"}) {
		t.Errorf("%+v", e)
	}
	if err := e.resolve(t, "# nothing\n"); err != nil || e.slots != 5 {
		t.Error(e, err)
	}
}

// An error names the setting, the place where it stands and what it should be.
func TestErrors(t *testing.T) {
	var e example
	for _, c := range []struct {
		file string
		err  error
		text []string
	}{
		{"slots: 1\nslotz: 2\n", settings.ErrUnknown, []string{":2:", `"slotz"`, "example --help"}},
		{"stop_wait: 2s\n", settings.ErrUnknown, []string{"stop-wait"}},
		{"config: other.yaml\n", settings.ErrUnknown, []string{"config"}},
		{"slots: 1\nslots: 2\n", settings.ErrFile, []string{"slots"}},
		{"slots: many\n", settings.ErrValue, []string{":1:", "slots", "many", "whole number"}},
		{"slots:\n", settings.ErrValue, []string{"slots", "whole number"}},
		{"stop-wait: 5\n", settings.ErrValue, []string{"duration"}},
		{"memory: 99999999TiB\n", settings.ErrValue, []string{"bytes"}},
		{"memory: -1\n", settings.ErrValue, []string{"bytes"}},
		{"tags: {a: b}\n", settings.ErrValue, []string{"tags", "list"}},
		{"name: &a x\ntags: *a\n", settings.ErrValue, []string{"tags"}},
		{"- slots\n", settings.ErrFile, []string{"setting: value"}},
		{"slots: [\n", settings.ErrFile, []string{"yaml"}},
		{strings.Repeat("#", 1<<20+1), settings.ErrFile, []string{"1048577 bytes"}},
	} {
		err := e.resolve(t, c.file)
		if !errors.Is(err, c.err) {
			t.Errorf("%.40q: %v, want %v", c.file, err, c.err)
			continue
		}
		for _, want := range c.text {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%.40q: %v, want something with %s", c.file, err, want)
			}
		}
	}
	if err := e.resolve(t, "", "--config", "/nowhere/at.yaml"); !errors.Is(err, settings.ErrFile) || !strings.Contains(err.Error(), "/nowhere/at.yaml") {
		t.Error(err)
	}
	// A value that a flag overrides must be valid all the same.
	if err := e.resolve(t, "slotz: 7\n", "--slots", "1"); !errors.Is(err, settings.ErrUnknown) {
		t.Error(err)
	}
	t.Setenv("ASKBACK_SLOTS", "many")
	if err := e.resolve(t, ""); !errors.Is(err, settings.ErrValue) || !strings.Contains(err.Error(), `ASKBACK_SLOTS="many": want whole number`) {
		t.Error(err)
	}
}

// Bytes are read as they are written.
func TestBytes(t *testing.T) {
	for n, want := range map[settings.Bytes]string{0: "0", 1: "1", 1023: "1023", 1024: "1KiB", 3 << 20: "3MiB", 2 << 30: "2GiB", 5 << 40: "5TiB"} {
		var back settings.Bytes
		if err := back.Set(n.String()); n.String() != want || err != nil || back != n {
			t.Errorf("%d is written %s, which is read as %d, %v", n, n.String(), back, err)
		}
	}
}

// The reference has a row for each setting, which a pipe does not break.
func TestReference(t *testing.T) {
	var e example
	var page strings.Builder
	if err := e.table().Reference(&page); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"| `slots` | whole number | `2` | how many workers |", `all \| of it`, "| `tags` | list, separated by commas | none |"} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("%s is not in\n%s", want, page.String())
		}
	}
}
