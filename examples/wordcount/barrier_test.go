package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestBarriersAndServerKilled: tasks are killed and all go back, and the server is killed on the way, with what it had
// in its hands.
func TestBarriersAndServerKilled(t *testing.T) {
	seed := newSeed(t)
	dir, want := text(t, seed, 2<<20, 4)
	out := filepath.Join(t.TempDir(), "counts")
	store, port := t.TempDir(), freePort(t)
	s := startServer(t, store, port)
	p := start(t, args("-strategy", "barrier", "-server", fmt.Sprintf("nats://127.0.0.1:%d", port), "-kill", 6, "-seed", seed, "-passes", 4, "-out", out, dir)...)
	for range 2 {
		if !p.until(2) {
			break
		}
		s.kill()
		s = startServer(t, store, port)
	}
	status, story := p.end()
	got, err := os.ReadFile(out)
	if status != 0 || err != nil || string(got) != want {
		t.Errorf("status %d, %v, counts as wanted: %v\n%s", status, err, string(got) == want, story)
	}
}
