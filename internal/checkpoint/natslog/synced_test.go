package natslog

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/checkpoint"
)

func TestSynced(t *testing.T) {
	now := time.Unix(1e9, 0)
	fresh := func(d Durability) *Log {
		l := &Log{}
		l.sync.init(&nats.Conn{}, Options{Durability: d, SyncInterval: time.Minute})
		l.sync.now = func() time.Time { return now }
		return l
	}
	want := func(l *Log, pos uint64) {
		t.Helper()
		if got := l.Synced(); uint64(got) != pos {
			t.Fatalf("synced to %d, want %d", got, pos)
		}
	}
	if l := fresh(Power); l.Synced() < 1<<60 {
		t.Fatalf("synced to %d under Power", l.Synced())
	}

	l := fresh(Process)
	want(l, 0)
	for i := range 1000 { // one append a second
		l.sync.note(l.sync.newest(), checkpoint.Pos(1+10*i))
		now = now.Add(time.Second)
	}
	if n := len(l.sync.marks); n > 40 {
		t.Fatalf("%d marks", n)
	}
	// Two minutes ago position 8801 was reached; marks are some seconds apart.
	if got := l.Synced(); got > 8801 || got < 8701 {
		t.Fatalf("synced to %d, want just below 8801", got)
	}
	now = now.Add(time.Hour)
	if got := l.Synced(); got < 9901 {
		t.Fatalf("synced to %d after an hour", got)
	}

	// Answers out of their order are no sign of a loss; positions given again are.
	epoch := l.Epoch()
	seen := l.sync.newest()
	l.sync.note(seen, 20002)
	l.sync.note(seen, 20001)
	if l.Epoch() != epoch {
		t.Fatal("the epoch has changed")
	}
	l.sync.note(l.sync.newest(), 15000)
	if l.Epoch() == epoch {
		t.Fatal("the epoch is the same after positions went back")
	}
	want(l, 0)
	now = now.Add(3 * time.Minute)
	want(l, 15000)
	l.sync.doubt()
	want(l, 0)
}
