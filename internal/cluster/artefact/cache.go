package artefact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// A Cache keeps artefacts in a directory, as executable files that are never written to again and that others cannot
// read. Make it with NewCache. Its methods may be called from several goroutines; a directory belongs to one Cache.
type Cache struct {
	dir string
	nc  *nats.Conn
	p   natscluster.Subjects

	mu    sync.Mutex
	under map[string]chan struct{} // running downloads; a channel is closed when its download has ended
}

// partial begins the names of files that are being written.
const partial = ".partial-"

// NewCache returns the cache in a directory, which it makes if need be. It removes half-written files of an earlier
// process.
func NewCache(dir string, nc *nats.Conn, p natscluster.Subjects) (*Cache, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("artefact: make cache: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("artefact: read cache: %w", err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), partial) {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return nil, fmt.Errorf("artefact: clean cache: %w", err)
			}
		}
	}
	return &Cache{dir: dir, nc: nc, p: p, under: map[string]chan struct{}{}}, nil
}

// Fetch returns the path of the executable, which it downloads if it is not there. Its digest has just been checked.
// Concurrent calls for one artefact wait for one download.
func (c *Cache) Fetch(ctx context.Context, a cluster.Artefact) (string, error) {
	if err := check(a); err != nil {
		return "", err
	}
	for {
		c.mu.Lock()
		other := c.under[a.SHA256]
		if other == nil {
			break
		}
		c.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return "", fmt.Errorf("artefact: fetch %s: %w", short(a.SHA256), ctx.Err())
		}
	}
	done := make(chan struct{})
	c.under[a.SHA256] = done
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.under, a.SHA256)
		c.mu.Unlock()
		close(done)
	}()

	path := filepath.Join(c.dir, a.SHA256)
	if c.intact(path, a) {
		return path, nil
	}
	if err := c.download(ctx, path, a); err != nil {
		return "", err
	}
	return path, nil
}

// intact reports whether the file is there and has its digest. A file with another digest is removed.
func (c *Cache) intact(path string, a cluster.Artefact) bool {
	if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && info.Size() == a.Size && info.Mode().Perm() == executable {
		if sha, _, err := Sum(path); err == nil && sha == a.SHA256 {
			return true
		}
	}
	_ = os.RemoveAll(path)
	return false
}

// executable is the mode of a file in the cache. A user who may run a program but not read it gets a process that no
// other process of that user can inspect: so workers of different topologies that run as the same user do not find each
// other's keys in /proc. Nor can they read each other's programs.
const executable = 0o511

// download writes the artefact to a file beside, and gives it its name when its digest is right.
func (c *Cache) download(ctx context.Context, path string, a cluster.Artefact) (err error) {
	f, err := os.CreateTemp(c.dir, partial)
	if err != nil {
		return fmt.Errorf("artefact: fetch %s: %w", short(a.SHA256), err)
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if err := Get(ctx, c.nc, c.p, a, f); err != nil {
		return err
	}
	for _, step := range []func() error{
		f.Sync,
		func() error { return f.Chmod(executable) },
		f.Close,
		func() error { return os.Rename(f.Name(), path) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("artefact: fetch %s: %w", short(a.SHA256), err)
		}
	}
	return nil
}

// Prune removes all artefacts but those that are to be kept or are being fetched.
func (c *Cache) Prune(keep map[string]bool) error {
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		return fmt.Errorf("artefact: prune: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var failed []error
	for _, e := range entries {
		sha := e.Name()
		if !isDigest(sha) || keep[sha] || c.under[sha] != nil {
			continue
		}
		if err := os.Remove(filepath.Join(c.dir, sha)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = append(failed, fmt.Errorf("artefact: prune: %w", err))
		}
	}
	return errors.Join(failed...)
}
