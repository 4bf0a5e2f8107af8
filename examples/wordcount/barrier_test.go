package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/askback/askback/internal/natstest"
)

// TestBarriersAndServerKilled: tasks are killed and all go back, and the server is killed on the way, with what it had
// in its hands.
func TestBarriersAndServerKilled(t *testing.T) {
	seed := newSeed(t)
	dir, want := text(t, seed, 2<<20, 4)
	out := filepath.Join(t.TempDir(), "counts")
	server := natstest.Start(t)
	p := start(t, args("-strategy", "barrier", "-server", server.URL(), "-kill", 6, "-seed", seed, "-passes", 4, "-out", out, dir)...)
	for range 2 {
		if !p.until(2) {
			break
		}
		server.Kill()
		server.Again()
	}
	status, story := p.end()
	got, err := os.ReadFile(out)
	if status != 0 || err != nil || string(got) != want {
		t.Errorf("status %d, %v, counts as wanted: %v\n%s", status, err, string(got) == want, story)
	}
}
