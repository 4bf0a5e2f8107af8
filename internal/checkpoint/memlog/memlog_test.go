package memlog_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/checkpointtest"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/msgid"
)

var (
	ctx   = context.Background()
	alias = msgid.Alias{Operator: "count"}
)

func TestConformance(t *testing.T) {
	checkpointtest.Run(t, func(testing.TB) checkpointtest.Subject {
		l := memlog.New(memlog.Options{})
		return checkpointtest.Subject{Log: l, Vanish: l.Vanish}
	})
}

// TestPowerCut: a live task begins again when the log has lost its newest entries.
func TestPowerCut(t *testing.T) {
	l := memlog.New(memlog.Options{SyncLag: 3})
	w, _, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if done, err := w.Begin(nil, true).Step(ctx); !done || err != nil {
		t.Fatal(done, err)
	}
	for i := range 4 {
		if err := w.Append(ctx, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	old := w.Mark()
	if l.Synced() != 3 {
		t.Fatalf("synced to %d of 6, want 3", l.Synced())
	}
	if lost := l.Cut(100); lost != 3 {
		t.Fatalf("lost %d entries, want the 3 that were not synced", lost)
	}
	var back *checkpoint.WentBackError
	if err := w.Append(ctx, nil); !errors.As(err, &back) || back.Known != 6 || !errors.Is(err, checkpoint.ErrWentBack) {
		t.Fatalf("append: %v, want ErrWentBack from 6", err)
	}
	if err := w.Rebegin(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Begin(nil, false).Step(ctx); !errors.Is(err, checkpoint.ErrNeedsFull) {
		t.Fatalf("an increment: %v, want ErrNeedsFull", err)
	}
	if _, _, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{}); !errors.Is(err, checkpoint.ErrDamaged) {
		t.Fatalf("restart before the full snapshot: %v, want ErrDamaged", err)
	}
	if done, err := w.Begin(nil, true).Covers(old).Step(ctx); !done || err != nil { // a mark of lost positions
		t.Fatal(done, err)
	}
	first := w.Last()
	if done, err := w.Begin(nil, true).Step(ctx); !done || err != nil {
		t.Fatal(done, err)
	}
	for range 3 {
		if err := w.Append(ctx, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Purge(ctx); err != nil {
		t.Fatal(err)
	}
	if at := l.Entries(alias)[0].Pos; at != first {
		t.Fatalf("the log begins at %d, want %d: the newest full snapshot but one", at, first)
	}
	_, h, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	if err != nil || len(h.Chain) != 1 || len(h.Determinants) != 3 || h.Incarnation != 2 {
		t.Fatalf("restart: %+v, %v", h, err)
	}
}

// TestCutUnderRestart: a task that restarts after a power cut restores an earlier moment, without an error.
func TestCutUnderRestart(t *testing.T) {
	l := memlog.New(memlog.Options{SyncLag: 2})
	w, _, _ := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	for i := range 4 {
		if err := w.Append(ctx, fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	// One of six positions is lost, and the new begin record takes it: the old incarnation's next append finds its
	// place in the log as it remembers it.
	l.Cut(1)
	next, h, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	if err != nil || fmt.Sprintf("%s", h.Determinants) != "[0 1 2]" {
		t.Fatalf("%+v, %v", h, err)
	}
	if err := w.Append(ctx, nil); !errors.Is(err, checkpoint.ErrFenced) {
		t.Fatalf("the old incarnation: %v, want ErrFenced", err)
	}
	// Its record is in the log nonetheless. It does not count, and disturbs no other record.
	if err := next.Append(ctx, []byte("3")); err != nil {
		t.Fatal(err)
	}
	_, h, err = checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	if err != nil || fmt.Sprintf("%s", h.Determinants) != "[0 1 2 3]" || h.Damaged != 1 {
		t.Fatalf("%+v, %v", h, err)
	}
}

func TestRoom(t *testing.T) {
	l := memlog.New(memlog.Options{MaxBytes: 10, MaxEntry: 8})
	pos, err := l.Append(ctx, alias, 0, make([]byte, 8))
	if err != nil || l.Bytes() != 8 {
		t.Fatal(pos, err, l.Bytes())
	}
	if _, err := l.Append(ctx, alias, pos, make([]byte, 3)); !errors.Is(err, checkpoint.ErrFull) {
		t.Fatalf("%v, want ErrFull", err)
	}
	if _, err := l.Append(ctx, alias, pos, make([]byte, 9)); !errors.Is(err, checkpoint.ErrTooLarge) {
		t.Fatalf("%v, want ErrTooLarge", err)
	}
	if err := l.Purge(ctx, alias, pos+1); err != nil || l.Bytes() != 0 {
		t.Fatal(err, l.Bytes())
	}
}

func Example() {
	log := memlog.New(memlog.Options{})
	w, _, _ := checkpoint.Open(ctx, log, alias, checkpoint.Options{})
	log.SetFault(func(op memlog.Op) memlog.Fault {
		if op.Kind == memlog.Append {
			return memlog.Lost // the answer is lost …
		}
		return memlog.None
	})
	fmt.Println(w.Append(ctx, []byte("determinants"))) // … but the writer finds its record in the log
	fmt.Println(len(log.Entries(alias)), "entries")
	// Output:
	// <nil>
	// 2 entries
}
