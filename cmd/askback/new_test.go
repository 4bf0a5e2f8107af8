package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A new module builds, passes its test, and is a topology program.
func TestNew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "word-stream")
	out, _, err := compared(t.Context(), "new", dir)
	if err != nil || !strings.Contains(out, "go run . --kill 3") {
		t.Fatalf("%v\n%s", err, out)
	}
	goes := func(args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), "go", args...)
		c.Dir = dir
		c.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOWORK=off") // no download
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	if got := goes("run", ".", "--plan"); !strings.Contains(got, "word-stream") || !strings.Contains(got, "count") {
		t.Errorf("the plan is\n%s", got)
	}
	mod := read(t, filepath.Join(dir, "go.mod"))
	for _, tool := range []string{"honnef.co", "benchstat", "golang.org/x/perf", "rapid", "goleak", "cobra", "pgx"} {
		if strings.Contains(mod, tool) {
			t.Errorf("go.mod requires %s, which the program does not need:\n%s", tool, mod)
		}
	}
	if ignored := read(t, filepath.Join(dir, ".gitignore")); !strings.Contains(ignored, "/word-stream\n") {
		t.Errorf(".gitignore is\n%s", ignored)
	}
	if testing.Short() {
		return
	}
	goes("vet", "./...")
	if got := goes("test", "-v", "./..."); !regexp.MustCompile(`\d{2,} runs, all but the first with a kill`).MatchString(got) {
		t.Errorf("no task was killed:\n%s", got)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// Existing files are left alone, and a name that no topology can have is rejected.
func TestNewRefuses(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "mine"), []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ dir, want string }{
		{full, "is not empty"},
		{filepath.Join(full, "mine"), "mine"},
		{filepath.Join(full, "a.b"), "A-Z a-z 0-9"},
		{filepath.Join(full, strings.Repeat("x", 5<<10)), "A-Z a-z 0-9"},
	} {
		_, _, err := compared(t.Context(), "new", c.dir)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.80s: %v, want something with %q", c.dir, err, c.want)
		}
	}
	if _, _, err := compared(t.Context(), "new", filepath.Join(full, "x"), "--replace", full); err == nil {
		t.Error("a directory is taken for our source")
	}
	if left, err := os.ReadDir(full); err != nil || len(left) != 1 {
		t.Errorf("%v, %v", left, err)
	}
}
