package checkpointtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/msgid"
)

// A Subject is a log under test: empty, and used by no other test.
type Subject struct {
	checkpoint.Log
	// Vanish makes the whole log disappear; nil if the suite cannot have that done.
	Vanish func()
}

// A Factory makes a subject, and arranges its end with t.Cleanup.
type Factory func(t testing.TB) Subject

// Run runs the suite.
func Run(t *testing.T, make Factory) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Subject)
	}{
		{"compare and set", compareAndSet},
		{"order", order},
		{"stop", stop},
		{"aliases are apart", aliases},
		{"range", ranges},
		{"last", last},
		{"purge", purge},
		{"large entries", large},
		{"many entries", many},
		{"purge while reading", purgeWhileReading},
		{"concurrent aliases", concurrent},
		{"rivals for one alias", rivals},
		{"cancelled context", cancelled},
		{"vanished", vanished},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, make(t)) })
	}
	t.Run("writer", func(t *testing.T) { runWriter(t, make) })
}

var count3 = msgid.Alias{Operator: "count", Index: 3}

func compareAndSet(t *testing.T, s Subject) {
	ctx := limited(t)
	first := mustAppend(t, s, count3, 0, "a")
	if first == 0 {
		t.Fatal("the first position is 0")
	}
	for _, expect := range []checkpoint.Pos{0, first + 1, first + 1000} {
		if pos, err := s.Append(ctx, count3, expect, []byte("x")); !errors.Is(err, checkpoint.ErrConflict) {
			t.Fatalf("append expecting %d after %d = %d, %v; want ErrConflict", expect, first, pos, err)
		}
	}
	second := mustAppend(t, s, count3, first, "b")
	if second <= first {
		t.Fatalf("positions %d, %d do not grow", first, second)
	}
	if _, err := s.Append(ctx, count3, first, []byte("x")); !errors.Is(err, checkpoint.ErrConflict) {
		t.Fatalf("append expecting the last but one: %v, want ErrConflict", err)
	}
	want(t, s, count3, 0, "a", "b")
}

func order(t *testing.T, s Subject) {
	var at []checkpoint.Pos
	var all []string
	pos := checkpoint.Pos(0)
	for i := range 20 {
		all = append(all, fmt.Sprint(i))
		pos = mustAppend(t, s, count3, pos, all[i])
		at = append(at, pos)
	}
	for i := range at {
		want(t, s, count3, at[i], all[i:]...)
	}
	want(t, s, count3, at[len(at)-1]+1)
	want(t, s, count3, at[len(at)-1]+1000)
}

func stop(t *testing.T, s Subject) {
	pos := mustAppend(t, s, count3, 0, "a")
	mustAppend(t, s, count3, pos, "b")
	for _, end := range []error{checkpoint.ErrStop, errors.New("enough")} {
		seen := 0
		err := s.Read(limited(t), count3, 0, checkpoint.End, func(checkpoint.Entry) error {
			seen++
			return end
		})
		if seen != 1 || end == checkpoint.ErrStop && err != nil || end != checkpoint.ErrStop && !errors.Is(err, end) {
			t.Fatalf("read ended by %v: %d entries, %v", end, seen, err)
		}
	}
}

func aliases(t *testing.T, s Subject) {
	names := []msgid.Alias{count3, {Operator: "count", Index: 33}, {Operator: "count-3", Index: 0}, {Operator: "coun", Index: 3}}
	for _, a := range names {
		pos := mustAppend(t, s, a, 0, a.String())
		mustAppend(t, s, a, pos, a.String())
	}
	if err := s.Purge(limited(t), count3, 1<<40); err != nil {
		t.Fatal(err)
	}
	want(t, s, count3, 0)
	for _, a := range names[1:] {
		want(t, s, a, 0, a.String(), a.String())
	}
}

func ranges(t *testing.T, s Subject) {
	var at []checkpoint.Pos
	pos, other := checkpoint.Pos(0), checkpoint.Pos(0)
	for i := range 10 {
		pos = mustAppend(t, s, count3, pos, fmt.Sprint(i))
		other = mustAppend(t, s, msgid.Alias{Operator: "other"}, other, "x")
		at = append(at, pos)
	}
	for i, from := range at {
		for k, to := range at {
			got := ""
			err := s.Read(limited(t), count3, from, to, func(e checkpoint.Entry) error {
				got += string(e.Data)
				return nil
			})
			want := ""
			if i <= k {
				want = "0123456789"[i : k+1]
			}
			if err != nil || got != want {
				t.Fatalf("entries %d to %d: %q, %v; want %q", i, k, got, err, want)
			}
		}
	}
}

func last(t *testing.T, s Subject) {
	if e, err := s.Last(limited(t), count3); err != nil || e.Pos != 0 {
		t.Fatalf("last of an empty log = %v, %v", e, err)
	}
	first := mustAppend(t, s, count3, 0, "a")
	second := mustAppend(t, s, count3, first, "b")
	mustAppend(t, s, msgid.Alias{Operator: "other"}, 0, "c")
	if e, err := s.Last(limited(t), count3); err != nil || e.Pos != second || string(e.Data) != "b" {
		t.Fatalf("last = %d %q, %v; want %d b", e.Pos, e.Data, err, second)
	}
}

func purge(t *testing.T, s Subject) {
	var at []checkpoint.Pos
	pos := checkpoint.Pos(0)
	for i := range 5 {
		pos = mustAppend(t, s, count3, pos, fmt.Sprint(i))
		at = append(at, pos)
	}
	for _, below := range []checkpoint.Pos{0, at[0], at[2], at[2], at[1]} {
		if err := s.Purge(limited(t), count3, below); err != nil {
			t.Fatalf("purge below %d: %v", below, err)
		}
	}
	want(t, s, count3, 0, "2", "3", "4")
	if next := mustAppend(t, s, count3, pos, "5"); next <= pos {
		t.Fatalf("position %d after a purge, %d before", next, pos)
	}
	want(t, s, count3, at[3], "3", "4", "5")
}

func large(t *testing.T, s Subject) {
	most := s.MaxEntry()
	big := bytes.Repeat([]byte("0123456789abcdef"), most/16+1)[:most]
	pos := mustAppend(t, s, count3, 0, string(big))
	for range 3 {
		pos = mustAppend(t, s, count3, pos, string(big))
	}
	pos = mustAppend(t, s, count3, pos, "") // the smallest
	want(t, s, count3, 0, string(big), string(big), string(big), string(big), "")
	if _, err := s.Append(limited(t), count3, pos, append(big, 'x')); !errors.Is(err, checkpoint.ErrTooLarge) {
		t.Fatalf("append of %d bytes: %v, want ErrTooLarge", len(big)+1, err)
	}
}

func many(t *testing.T, s Subject) {
	const n = 3000
	body := string(bytes.Repeat([]byte("x"), 700))
	other := msgid.Alias{Operator: "other"}
	pos, otherPos := checkpoint.Pos(0), checkpoint.Pos(0)
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint(i, body))
		pos = mustAppend(t, s, count3, pos, all[i])
		if i%3 == 0 {
			otherPos = mustAppend(t, s, other, otherPos, body)
		}
	}
	want(t, s, count3, 0, all...)
}

func purgeWhileReading(t *testing.T, s Subject) {
	pos := checkpoint.Pos(0)
	body := string(bytes.Repeat([]byte("x"), 100<<10))
	var at []checkpoint.Pos
	for range 30 {
		pos = mustAppend(t, s, count3, pos, body)
		at = append(at, pos)
	}
	var seen []checkpoint.Pos
	err := s.Read(limited(t), count3, 0, checkpoint.End, func(e checkpoint.Entry) error {
		if len(seen) == 3 {
			if err := s.Purge(limited(t), count3, at[20]); err != nil {
				return err
			}
		}
		seen = append(seen, e.Pos)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(seen); i++ {
		if seen[i] <= seen[i-1] {
			t.Fatalf("positions %v do not grow", seen)
		}
	}
	for i, p := range at[20:] {
		if got := seen[max(len(seen)-10, 0):]; len(got) != 10 || got[i] != p {
			t.Fatalf("read %v, want it to end in %v: entries that were not purged must be there", seen, at[20:])
		}
	}
}

func concurrent(t *testing.T, s Subject) {
	const aliases, n = 6, 40
	var wg sync.WaitGroup
	for i := range aliases {
		wg.Add(1)
		go func() {
			defer wg.Done()
			a := msgid.Alias{Operator: "task", Index: i}
			pos := checkpoint.Pos(0)
			for k := range n {
				next, err := s.Append(limited(t), a, pos, fmt.Appendf(nil, "%d.%d", i, k))
				if err != nil {
					t.Errorf("append %d of %s: %v", k, a, err)
					return
				}
				pos = next
			}
		}()
	}
	wg.Wait()
	for i := range aliases {
		var all []string
		for k := range n {
			all = append(all, fmt.Sprintf("%d.%d", i, k))
		}
		want(t, s, msgid.Alias{Operator: "task", Index: i}, 0, all...)
	}
}

// rivals: of several writers that append to one alias and expect the same entry, one succeeds.
func rivals(t *testing.T, s Subject) {
	pos := checkpoint.Pos(0)
	for round := range 10 {
		var wg sync.WaitGroup
		var mu sync.Mutex
		var won []checkpoint.Pos
		for i := range 5 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				p, err := s.Append(limited(t), count3, pos, fmt.Appendf(nil, "%d", i))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won = append(won, p)
				} else if !errors.Is(err, checkpoint.ErrConflict) {
					t.Errorf("round %d: %v", round, err)
				}
			}()
		}
		wg.Wait()
		if len(won) != 1 {
			t.Fatalf("round %d: %d appends expecting %d were done", round, len(won), pos)
		}
		pos = won[0]
	}
}

func cancelled(t *testing.T, s Subject) {
	pos := mustAppend(t, s, count3, 0, "a")
	ctx, cancel := context.WithCancel(limited(t))
	cancel()
	if _, err := s.Append(ctx, count3, pos, []byte("b")); err == nil {
		t.Fatal("append with a cancelled context succeeded")
	}
	if err := s.Read(ctx, count3, 0, checkpoint.End, func(checkpoint.Entry) error { return nil }); err == nil {
		t.Fatal("read with a cancelled context succeeded")
	}
	want(t, s, count3, 0, "a")
}

func vanished(t *testing.T, s Subject) {
	if s.Vanish == nil {
		t.Skip("this log cannot vanish")
	}
	pos := mustAppend(t, s, count3, 0, "a")
	s.Vanish()
	ctx := limited(t)
	if _, err := s.Append(ctx, count3, pos, []byte("b")); !errors.Is(err, checkpoint.ErrGone) {
		t.Fatalf("append: %v, want ErrGone", err)
	}
	if err := s.Read(ctx, count3, 0, checkpoint.End, func(checkpoint.Entry) error { return nil }); !errors.Is(err, checkpoint.ErrGone) {
		t.Fatalf("read: %v, want ErrGone", err)
	}
	if err := s.Purge(ctx, count3, 1); !errors.Is(err, checkpoint.ErrGone) {
		t.Fatalf("purge: %v, want ErrGone", err)
	}
	if _, err := s.Last(ctx, count3); !errors.Is(err, checkpoint.ErrGone) {
		t.Fatalf("last: %v, want ErrGone", err)
	}
	for range 2 {
		if err := s.Reopen(ctx); err != nil {
			t.Fatal(err)
		}
	}
	want(t, s, count3, 0)
	mustAppend(t, s, count3, 0, "c")
	want(t, s, count3, 0, "c")
}

// mustAppend appends, and fails the test otherwise.
func mustAppend(t testing.TB, l checkpoint.Log, alias msgid.Alias, expect checkpoint.Pos, data string) checkpoint.Pos {
	t.Helper()
	pos, err := l.Append(limited(t), alias, expect, []byte(data))
	if err != nil {
		t.Fatalf("append to %s expecting %d: %v", alias, expect, err)
	}
	return pos
}

// want checks the entries of alias at and after from.
func want(t testing.TB, l checkpoint.Log, alias msgid.Alias, from checkpoint.Pos, want ...string) {
	t.Helper()
	var got []string
	last := checkpoint.Pos(0)
	err := l.Read(limited(t), alias, from, checkpoint.End, func(e checkpoint.Entry) error {
		if e.Pos <= last || e.Pos < from {
			t.Errorf("position %d after %d, from %d", e.Pos, last, from)
		}
		last = e.Pos
		got = append(got, string(e.Data))
		return nil
	})
	if err != nil {
		t.Fatalf("read %s from %d: %v", alias, from, err)
	}
	if len(got) != len(want) {
		t.Fatalf("read %s from %d: %d entries, want %d", alias, from, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("read %s from %d: entry %d is %.60q, want %.60q", alias, from, i, got[i], want[i])
		}
	}
}

// limited returns a context that ends when the test hangs.
func limited(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
