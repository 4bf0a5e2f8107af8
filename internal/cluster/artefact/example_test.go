package artefact_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/askback/askback/internal/cluster/artefact"
)

// An artefact is known by its digest.
func ExampleSum() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "topology")
	if err := os.WriteFile(path, []byte("a program"), 0o700); err != nil {
		return
	}
	sha, size, err := artefact.Sum(path)
	fmt.Println(sha[:12], size, err)
	// Output: d69ea8cda243 9 <nil>
}
