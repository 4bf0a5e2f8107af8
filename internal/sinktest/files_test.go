package sinktest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
)

// Tasks are killed while a topology runs, and at the end the parts that appeared have each line once.
func TestFiles(t *testing.T) {
	const numbers = 30_000
	for name, of := range map[string]func(path string) topology.Topology{
		"rows": func(path string) topology.Topology {
			return rows(numbers, func(b *topology.Builder) *topology.Node { return b.Bolt("out", files.Bolt(path)) })
		},
		"typed": func(path string) topology.Topology { return typed(numbers, files.Sink[Square](path)) },
	} {
		for _, s := range []strategy.Strategy{strategy.Backtrack, strategy.Barrier} {
			t.Run(fmt.Sprintf("%v, %s", s, name), func(t *testing.T) {
				dir := t.TempDir()
				kill(t, of(filepath.Join(dir, "out")), disk{}, askback.WithStrategy(s), askback.WithSnapshotEvery(100*time.Millisecond))
				parts, err := os.ReadDir(dir)
				must.Do(t, err)
				seen := make(map[int64]bool)
				for _, part := range parts {
					text, err := os.ReadFile(filepath.Join(dir, part.Name()))
					must.Do(t, err)
					for line := range strings.Lines(string(text)) {
						var n, square int64
						if _, err := fmt.Sscanf(line, "%d\t%d\n", &n, &square); err != nil || square != n*n || seen[n] {
							t.Fatalf("%s has the line %q, there already: %v, %v", part.Name(), line, seen[n], err)
						}
						seen[n] = true
					}
				}
				if len(seen) != numbers || len(parts) < 2 {
					t.Errorf("%d lines in %d parts, want %d", len(seen), len(parts), numbers)
				}
			})
		}
	}
}

// A disk is a server that is always there.
type disk struct{}

func (disk) Kill()  {}
func (disk) Again() {}
