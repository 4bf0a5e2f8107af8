//go:build unix

package natscluster

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/internal/channel/natschan/embed"
)

// The leader is stopped in the midst of its writes; after its lease another leads; then the first goes on. Its writes are
// rejected.
func TestPausedLeader(t *testing.T) {
	s, err := embed.Start(embed.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Stop() })
	nc := dial(t, s.URL())
	if err := Setup(limit(t), nc, prefix, 0); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		paused := run(t, childLeader, s.URL(), "leads")
		time.Sleep(50 * time.Millisecond)
		if err := paused.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		l := lead(t, nc, "next", shortTTL)
		revision := put(t, l, record("x", -1))
		if err := paused.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if text := paused.expect(t, "deposed"); !strings.HasPrefix(text, "deposed: true") {
			t.Error(text)
		}
		records, err := l.Records(limit(t))
		if err != nil || len(records) != 1 || records[0].Revision != revision {
			t.Errorf("records %+v, %v; want revision %d", records, err, revision)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}
