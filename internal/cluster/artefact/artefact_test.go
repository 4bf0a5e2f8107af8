package artefact_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// Putting a small object quickly makes the client library leave a goroutine behind: the publisher is cleaned up before
// the goroutine has begun. Each upload leaks at most one, in a process that does nothing else.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/nats-io/nats.go/jetstream.(*jetStream).resetPendingAcksOnReconnect"))
}

const p = natscluster.Subjects("askback")

// store starts a server with an object store, and connects.
func store(t *testing.T) (*nats.Conn, jetstream.ObjectStore) {
	t.Helper()
	s, err := embed.Start(embed.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	closed := make(chan struct{})
	nc, err := nats.Connect("", nats.InProcessServer(s.InProcess()), nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close(); <-closed })
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	o, err := js.CreateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: p.Artefacts()})
	if err != nil {
		t.Fatal(err)
	}
	return nc, o
}

// program writes a file that stands for a topology's program.
func program(t *testing.T, size int) string {
	t.Helper()
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, b, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func cache(t *testing.T, nc *nats.Conn) (*artefact.Cache, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cache")
	c, err := artefact.NewCache(dir, nc, p)
	if err != nil {
		t.Fatal(err)
	}
	return c, dir
}

// files returns the names in a directory.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// Fetched bytes equal those put, executable by everybody; the second put uploads nothing.
func TestPutFetch(t *testing.T) {
	nc, _ := store(t)
	path := program(t, 5<<20+17)
	var reported []int64
	a, err := artefact.Put(t.Context(), nc, p, path, func(done, all int64) {
		if all != 5<<20+17 {
			t.Errorf("%d bytes in all", all)
		}
		reported = append(reported, done)
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(reported) < 4 || reported[len(reported)-1] != a.Size {
		t.Errorf("progress was reported as %v", reported)
	}
	reported = nil
	sent := nc.Stats().OutBytes
	if again, err := artefact.Put(t.Context(), nc, p, path, nil); err != nil || again.SHA256 != a.SHA256 {
		t.Fatal(again, err)
	}
	if sent = nc.Stats().OutBytes - sent; sent > 4096 {
		t.Errorf("the second put sent %d bytes", sent)
	}

	c, dir := cache(t, nc)
	got, err := c.Fetch(t.Context(), a)
	if err != nil {
		t.Fatal(err)
	}
	want, _ := os.ReadFile(path)
	if b, err := os.ReadFile(got); err != nil || !bytes.Equal(b, want) {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	if info, _ := os.Stat(got); info.Mode() != 0o511 {
		t.Errorf("mode %v", info.Mode())
	}
	if got := files(t, dir); len(got) != 1 || got[0] != a.SHA256 {
		t.Errorf("the cache holds %v", got)
	}
	if err := artefact.Get(t.Context(), nc, p, a, &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
}

// Row 43: bytes that are not those that were submitted are refused, and nothing that could be executed is left behind.
func TestMismatch(t *testing.T) {
	nc, o := store(t)
	a, err := artefact.Put(t.Context(), nc, p, program(t, 300<<10), nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"same size": bytes.Repeat([]byte("x"), int(a.Size)),
		"shorter":   []byte("x"),
		"longer":    bytes.Repeat([]byte("x"), int(a.Size)+1),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := o.PutBytes(t.Context(), a.SHA256, content); err != nil {
				t.Fatal(err)
			}
			c, dir := cache(t, nc)
			if path, err := c.Fetch(t.Context(), a); !errors.Is(err, artefact.ErrMismatch) || path != "" {
				t.Errorf("%q, %v", path, err)
			}
			if got := files(t, dir); len(got) != 0 {
				t.Errorf("left behind: %v", got)
			}
		})
	}
}

// A byte that was flipped in the store, below the object store's own digest, is found too.
func TestFlippedChunk(t *testing.T) {
	nc, o := store(t)
	a, err := artefact.Put(t.Context(), nc, p, program(t, 300<<10), nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := o.GetInfo(t.Context(), a.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	js, _ := jetstream.New(nc)
	s, err := js.Stream(t.Context(), "OBJ_"+p.Artefacts())
	if err != nil {
		t.Fatal(err)
	}
	subject := "$O." + p.Artefacts() + ".C." + info.NUID
	m, err := s.GetLastMsgForSubject(t.Context(), subject)
	if err != nil {
		t.Fatal(err)
	}
	m.Data[0] ^= 1
	if err := s.DeleteMsg(t.Context(), m.Sequence); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), subject, m.Data); err != nil {
		t.Fatal(err)
	}
	c, dir := cache(t, nc)
	began := time.Now()
	if _, err := c.Fetch(t.Context(), a); !errors.Is(err, artefact.ErrMismatch) {
		t.Error(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %v to notice", took)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("left behind: %v", got)
	}
}

// A cached file that was changed, replaced by a link or made writable is not used, but fetched again.
func TestCacheIsNotTrusted(t *testing.T) {
	nc, _ := store(t)
	a, err := artefact.Put(t.Context(), nc, p, program(t, 200<<10), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, dir := cache(t, nc)
	path := filepath.Join(dir, a.SHA256)
	for name, tamper := range map[string]func() error{
		"changed": func() error {
			_ = os.Chmod(path, 0o755)
			b, _ := os.ReadFile(path)
			b[7]++
			return errors.Join(os.WriteFile(path, b, 0o755), os.Chmod(path, 0o511))
		},
		"link":      func() error { return errors.Join(os.Remove(path), os.Symlink("/bin/true", path)) },
		"directory": func() error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
		"writable":  func() error { return os.Chmod(path, 0o777) },
		"removed":   func() error { return os.Remove(path) },
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := c.Fetch(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			if err := tamper(); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Fetch(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			info, err := os.Lstat(path)
			if sha, _, _ := artefact.Sum(path); err != nil || info.Mode() != 0o511 || sha != a.SHA256 {
				t.Errorf("%v %s %v", info, sha, err)
			}
		})
	}
}

// Concurrent fetches of one artefact share one download.
func TestFetchTogether(t *testing.T) {
	nc, _ := store(t)
	a, err := artefact.Put(t.Context(), nc, p, program(t, 2<<20), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, _ := cache(t, nc)
	before := nc.Stats().InBytes
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			if _, err := c.Fetch(t.Context(), a); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := nc.Stats().InBytes - before; got > 3<<20 {
		t.Errorf("%d bytes came for %d", got, a.Size)
	}
}

// Cancelling one fetch does not cancel the others that wait for the same download.
func TestFetchCancelled(t *testing.T) {
	nc, _ := store(t)
	a, err := artefact.Put(t.Context(), nc, p, program(t, 1<<20), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, dir := cache(t, nc)
	hasty, cancel := context.WithCancel(t.Context())
	cancel()
	var wait sync.WaitGroup
	wait.Go(func() {
		if _, err := c.Fetch(hasty, a); err == nil && len(files(t, dir)) == 0 {
			t.Error("fetched nothing, and no error")
		}
	})
	wait.Go(func() {
		if _, err := c.Fetch(t.Context(), a); err != nil {
			t.Error(err)
		}
	})
	wait.Wait()
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("the cache holds %v", got)
	}
}

// A replica that is behind may lack an artefact that has just been stored.
func TestLate(t *testing.T) {
	nc, _ := store(t)
	path := program(t, 1000)
	sha, size, err := artefact.Sum(path)
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		time.Sleep(200 * time.Millisecond)
		if _, err := artefact.Put(t.Context(), nc, p, path, nil); err != nil {
			t.Error(err)
		}
	})
	if err := artefact.Get(t.Context(), nc, p, cluster.Artefact{SHA256: sha, Size: size}, io.Discard); err != nil {
		t.Error(err)
	}
	wait.Wait()
}

func TestMissing(t *testing.T) {
	nc, _ := store(t)
	c, _ := cache(t, nc)
	a := cluster.Artefact{SHA256: strings.Repeat("ab", 32), Size: 5}
	if _, err := c.Fetch(t.Context(), a); !errors.Is(err, artefact.ErrMissing) {
		t.Error(err)
	}
	for _, bad := range []cluster.Artefact{
		{SHA256: "../../etc/passwd", Size: 5}, {SHA256: strings.Repeat("A", 64), Size: 5}, {SHA256: strings.Repeat("a", 5000), Size: 5},
		{SHA256: strings.Repeat("a", 63) + "\n", Size: 5}, {SHA256: a.SHA256}, {SHA256: a.SHA256, Size: artefact.Largest + 1},
	} {
		if _, err := c.Fetch(t.Context(), bad); !errors.Is(err, artefact.ErrDigest) || len(err.Error()) > 300 {
			t.Error(err)
		}
	}
}

// Pruning removes unused files, and half-written files of an earlier process go when a cache is made.
func TestPrune(t *testing.T) {
	nc, _ := store(t)
	c, dir := cache(t, nc)
	var all []cluster.Artefact
	for i := range 3 {
		a, err := artefact.Put(t.Context(), nc, p, program(t, 1000+i), nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Fetch(t.Context(), a); err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	if err := c.Prune(map[string]bool{all[1].SHA256: true}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, ".partial-1"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := artefact.NewCache(dir, nc, p); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(files(t, dir)); got != fmt.Sprint([]string{all[1].SHA256}) {
		t.Errorf("the cache holds %v", got)
	}
}
