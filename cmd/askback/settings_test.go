package main

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/settings.md")

// docs/settings.md is the output of "askback settings".
func TestSettings(t *testing.T) {
	const page = "../../docs/settings.md"
	got, _, err := compared(t.Context(), "settings")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(page, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(page); err != nil || string(want) != got {
		t.Errorf("docs/settings.md differs from the programs' settings: go test ./cmd/askback -run TestSettings -update (%v)", err)
	}
	for _, table := range allTables() {
		for _, s := range table.Settings() {
			if s.About == "" || s.Unit == "" || strings.HasSuffix(s.About, ".") {
				t.Errorf("%s: setting %s is not explained as the others are", table.Program(), s.Name)
			}
		}
	}
	one, _, err := compared(t.Context(), "settings", "supervisor")
	if err != nil || !strings.Contains(one, "`stop-workers`") || strings.Contains(one, "`lease`") {
		t.Errorf("%v\n%s", err, one)
	}
}

// Where the cluster is can stand in a file, too; a key that is none is named with its line.
func TestClientSettings(t *testing.T) {
	s := newStage(t)
	s.Answer("other.api.view.list", struct{}{})
	file := t.TempDir() + "/askback.yaml"
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("server: " + s.URL() + "\nprefix: wrong\n")
	t.Setenv("ASKBACK_PREFIX", "other")
	if _, _, err := compared(t.Context(), "list", "--config", file); err != nil {
		t.Error(err)
	}
	write("server: " + s.URL() + "\nprefiks: other\n")
	_, _, err := compared(t.Context(), "list", "--config", file)
	if exitStatus(err) != exitUsage || !strings.Contains(err.Error(), ":2:") || !strings.Contains(err.Error(), "prefiks") {
		t.Error(err)
	}
}
