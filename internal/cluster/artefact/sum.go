package artefact

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/askback/askback/internal/cluster"
)

// Largest is the size of the largest artefact in bytes.
const Largest = 1 << 30

// Sum returns a file's SHA-256 in hex, and its size in bytes.
func Sum(path string) (sha string, size int64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, fmt.Errorf("artefact: %w", err)
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return "", 0, fmt.Errorf("artefact: %s is not a file", path)
	}
	h := sha256.New()
	if size, err = io.Copy(h, f); err != nil {
		return "", 0, fmt.Errorf("artefact: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// check refuses an invalid digest or size: the digest becomes part of paths and subjects.
func check(a cluster.Artefact) error {
	if !isDigest(a.SHA256) {
		return fmt.Errorf("%w: %.80q: want the 64 digits 0-9 a-f of a SHA-256", ErrDigest, a.SHA256)
	}
	if a.Size < 1 || a.Size > Largest {
		return fmt.Errorf("%w: %s has %d bytes: want 1 to %d", ErrDigest, short(a.SHA256), a.Size, Largest)
	}
	return nil
}

func isDigest(s string) bool {
	if len(s) != 2*sha256.Size {
		return false
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// short is how messages call an artefact.
func short(sha string) string { return sha[:min(12, len(sha))] }
