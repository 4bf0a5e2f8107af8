package memlog_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/memlog"
)

// only accepts one snapshot.
func only(text string) checkpoint.Options {
	return checkpoint.Options{Accept: func(snapshot []byte) bool { return string(snapshot) == text }}
}

func store(t *testing.T, w *checkpoint.Writer, text string) {
	t.Helper()
	up := w.Begin([][]byte{[]byte(text)}, true)
	for done := false; !done; {
		var err error
		if done, err = up.Step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Purge(ctx); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, l checkpoint.Log, opt checkpoint.Options, want ...string) *checkpoint.Writer {
	t.Helper()
	w, h, err := checkpoint.Open(ctx, l, alias, opt)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range h.Chain {
		got = append(got, string(s))
	}
	if !slices.Equal(got, want) {
		t.Fatalf("restored from %q, want %q", got, want)
	}
	return w
}

// TestAccept: a restore begins at the snapshot that is accepted, though there are newer ones, and at none if none is.
func TestAccept(t *testing.T) {
	l := memlog.New(memlog.Options{})
	w := open(t, l, only("1"))
	store(t, w, "1")
	store(t, w, "2")
	w = open(t, l, only("1"), "1")
	store(t, w, "2'")
	w = open(t, l, only("1"), "1") // 2' was not accepted either: 1 was not purged
	store(t, w, "2''")
	open(t, l, only("2''"), "2''")
	open(t, l, only("3"))
	open(t, l, only("2"), "2")
}

// TestAcceptedIsKept: the last snapshot but one stays, since another log decides, later, which one counts, until a power
// cut can no longer take its replacement.
func TestAcceptedIsKept(t *testing.T) {
	for lag := range 20 {
		l := memlog.New(memlog.Options{SyncLag: lag})
		w := open(t, l, only("0"))
		for n := range 10 {
			store(t, w, fmt.Sprint(n))
		}
		l.Cut(lag)
		h, err := checkpoint.Peek(ctx, l, alias, checkpoint.Options{})
		if err != nil || len(h.Chain) == 0 {
			continue
		}
		// The decision that the newest one counts came after it was stored, and may be lost.
		if newest := h.Chain[0][0]; newest > '0' {
			before := string(newest - 1)
			open(t, l, only(before), before)
		}
	}
}

// TestPeek: peeking at a log begins no incarnation.
func TestPeek(t *testing.T) {
	l := memlog.New(memlog.Options{})
	if h, err := checkpoint.Peek(ctx, l, alias, checkpoint.Options{}); err != nil || len(h.Chain) != 0 || h.Incarnation != 0 {
		t.Fatalf("an empty log: %+v, %v", h, err)
	}
	w := open(t, l, checkpoint.Options{})
	store(t, w, "1")
	h, err := checkpoint.Peek(ctx, l, alias, checkpoint.Options{})
	if err != nil || len(h.Chain) != 1 || string(h.Chain[0]) != "1" || h.Incarnation != 1 {
		t.Fatalf("%+v, %v", h, err)
	}
	store(t, w, "2") // it is not fenced
	l.Vanish()
	if h, err = checkpoint.Peek(ctx, l, alias, checkpoint.Options{}); err != nil || len(h.Chain) != 0 {
		t.Fatalf("a log that has vanished: %+v, %v", h, err)
	}
}
