package checkpointtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/msgid"
)

func runWriter(t *testing.T, make Factory) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Subject)
	}{
		{"first start and restart", restart},
		{"history", history},
		{"mark", mark},
		{"lost answers", lostAnswers},
		{"gives up", givesUp},
		{"full log", fullLog},
		{"zombie", zombie},
		{"zombie with a purged last record", zombiePurged},
		{"begin against a rival", beginAgainstRival},
		{"torn snapshot", torn},
		{"damage", damage},
		{"purge", purgeRule},
		{"sizes", sizes},
		{"log vanished", logVanished},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, make(t)) })
	}
}

// impatient gives up after some tries.
func impatient(_ context.Context, attempt int) error {
	if attempt > 6 {
		return errGaveUp
	}
	return nil
}

var errGaveUp = errors.New("gave up")

// small makes small records, so that snapshots take several chunks.
var small = checkpoint.Options{MaxRecord: 200, Pause: impatient}

func mustOpen(t testing.TB, log checkpoint.Log) (*checkpoint.Writer, *checkpoint.History) {
	t.Helper()
	w, h, err := checkpoint.Open(limited(t), log, count3, small)
	if err != nil {
		t.Fatal(err)
	}
	return w, h
}

func mustRecord(t testing.TB, w *checkpoint.Writer, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		if err := w.Append(limited(t), []byte(b)); err != nil {
			t.Fatalf("append %q: %v", b, err)
		}
	}
}

// mustUpload uploads a snapshot, and appends one record of determinants after each step.
func mustUpload(t testing.TB, w *checkpoint.Writer, full bool, data string, determinants ...string) {
	t.Helper()
	for u := w.Begin([][]byte{[]byte(data)}, full); ; {
		done, err := u.Step(limited(t))
		if err != nil {
			t.Fatalf("snapshot %.20q: %v", data, err)
		}
		if done {
			mustRecord(t, w, determinants...)
			return
		}
		if len(determinants) > 0 {
			mustRecord(t, w, determinants[0])
			determinants = determinants[1:]
		}
	}
}

func wantHistory(t testing.TB, h *checkpoint.History, chain, determinants []string) {
	t.Helper()
	if got := fmt.Sprintf("%.30q", h.Chain); got != fmt.Sprintf("%.30q", chain) {
		t.Fatalf("chain %s, want %.30q", got, chain)
	}
	for i := range chain {
		if string(h.Chain[i]) != chain[i] {
			t.Fatalf("snapshot %d differs", i)
		}
	}
	if got := fmt.Sprintf("%q", h.Determinants); got != fmt.Sprintf("%q", determinants) {
		t.Fatalf("determinants %s, want %q", got, determinants)
	}
}

func long(s string) string { return string(bytes.Repeat([]byte(s), 500)) }

func restart(t *testing.T, s Subject) {
	w, h := mustOpen(t, s.Log)
	if h.Restarted || h.Incarnation != 1 || w.Incarnation() != 1 || w.Alias() != count3 || w.Last() == 0 {
		t.Fatalf("first start: %+v, writer %d at %d", h, w.Incarnation(), w.Last())
	}
	wantHistory(t, h, nil, nil)
	mustRecord(t, w, "1", "2")
	w, h = mustOpen(t, s.Log)
	if !h.Restarted || h.Incarnation != 2 || h.Damaged != 0 {
		t.Fatalf("second start: %+v", h)
	}
	wantHistory(t, h, nil, []string{"1", "2"})
	mustRecord(t, w, "3")
	opt := small
	opt.AtLeast = 9
	w, h, err := checkpoint.Open(limited(t), s.Log, count3, opt)
	if err != nil || h.Incarnation != 9 || w.Incarnation() != 9 {
		t.Fatalf("start of at least 9: %+v, %v", h, err)
	}
	wantHistory(t, h, nil, []string{"1", "2", "3"})
	if _, h = mustOpen(t, s.Log); h.Incarnation != 10 {
		t.Fatalf("start after 9: %+v", h)
	}
}

func history(t *testing.T, s Subject) {
	w, _ := mustOpen(t, s.Log)
	mustRecord(t, w, "1")
	mustUpload(t, w, true, long("a"), "2", "3")
	mustRecord(t, w, "4")
	_, h := mustOpen(t, s.Log)
	// The first commit has none before it: all determinants are kept, for only their reader knows where the snapshot was
	// captured.
	wantHistory(t, h, []string{long("a")}, []string{"1", "2", "3", "4"})

	w, _ = mustOpen(t, s.Log)
	mustRecord(t, w, "5")
	mustUpload(t, w, false, "b", "6")
	_, h = mustOpen(t, s.Log)
	wantHistory(t, h, []string{long("a"), "b"}, []string{"4", "5", "6"})

	w, _ = mustOpen(t, s.Log)
	mustUpload(t, w, false, long("c"), "7")
	mustRecord(t, w, "8")
	_, h = mustOpen(t, s.Log)
	wantHistory(t, h, []string{long("a"), "b", long("c")}, []string{"7", "8"})

	w, _ = mustOpen(t, s.Log)
	mustUpload(t, w, true, "")
	_, h = mustOpen(t, s.Log)
	wantHistory(t, h, []string{""}, []string{"8"})
}

// mark: determinant records before the mark that a snapshot covers are neither read nor kept.
func mark(t *testing.T, s Subject) {
	f := &Flaky{Log: s.Log} // ignores power cuts
	w, _ := mustOpen(t, f)
	mustRecord(t, w, "1", "2")
	m := w.Mark()
	mustRecord(t, w, "3")
	upload := func(m checkpoint.Mark) {
		for u, done, err := w.Begin(nil, true).Covers(m), false, error(nil); !done; {
			if done, err = u.Step(limited(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	upload(m)
	w, h := mustOpen(t, f)
	wantHistory(t, h, []string{""}, []string{"3"})
	mustRecord(t, w, "4")
	upload(m) // an old mark, of another incarnation, does not count
	_, h = mustOpen(t, f)
	wantHistory(t, h, []string{""}, []string{"4"})

	w, _ = mustOpen(t, f)
	mustRecord(t, w, "5")
	upload(w.Mark())
	at := w.Last()
	if err := w.Purge(limited(t)); err != nil {
		t.Fatal(err)
	}
	upload(w.Mark())
	if err := w.Purge(limited(t)); err != nil {
		t.Fatal(err)
	}
	_ = s.Read(limited(t), count3, 0, checkpoint.End, func(e checkpoint.Entry) error {
		if e.Pos != at {
			t.Fatalf("the log begins at %d, want %d: the commit of the last but one", e.Pos, at)
		}
		return checkpoint.ErrStop
	})
	_, h = mustOpen(t, f)
	wantHistory(t, h, []string{""}, nil)
}

// lostAnswers tries every succession of three fates on determinants and snapshots: each record ends up in the history
// once, and in its place.
func lostAnswers(t *testing.T, s Subject) {
	fates := []Fate{Fine, Lost, Dropped, Late}
	i := 0
	for _, a := range fates {
		for _, b := range fates {
			for _, c := range fates {
				i++
				alias := count3
				alias.Index = i
				f := &Flaky{Log: s.Log, Fates: []Fate{a, b, c}}
				w, _, err := checkpoint.Open(limited(t), f, alias, small)
				if err != nil {
					t.Fatalf("fates %v: %v", []Fate{a, b, c}, err)
				}
				f.Fates = []Fate{a, b, c}
				mustRecord(t, w, "1", "2", "2")
				f.Fates = []Fate{a, b, c}
				mustUpload(t, w, true, long("f"), "3")
				f.Fates = []Fate{a, b, c}
				mustUpload(t, w, false, "i", "4")
				mustRecord(t, w, "5")
				_, h, err := checkpoint.Open(limited(t), f, alias, small)
				if err != nil || h.Damaged != 0 {
					t.Fatalf("fates %v: %+v, %v", []Fate{a, b, c}, h, err)
				}
				wantHistory(t, h, []string{long("f"), "i"}, []string{"4", "5"})
			}
		}
	}
}

// givesUp: a call that gives up leaves its outcome open, and the writer copes with either.
func givesUp(t *testing.T, s Subject) {
	for i, fate := range []Fate{Lost, Dropped, Late} {
		alias := count3
		alias.Index = i
		f := &Flaky{Log: s.Log}
		opt := small
		opt.Pause = func(context.Context, int) error { return errGaveUp }
		w, _, err := checkpoint.Open(limited(t), f, alias, opt)
		if err != nil {
			t.Fatal(err)
		}
		fail := func(call func() error) {
			t.Helper()
			f.Fates, f.Deaf = []Fate{fate}, 1
			if err := call(); !errors.Is(err, checkpoint.ErrUnknown) || !errors.Is(err, errGaveUp) {
				t.Fatalf("fate %v: %v, want ErrUnknown", fate, err)
			}
		}
		fail(func() error { return w.Append(limited(t), []byte("1")) })
		mustRecord(t, w, "2")
		// Each record of a snapshot is tried in vain, a determinant record finds out about it or not, and it is repeated.
		for _, between := range []bool{false, true} {
			u := w.Begin([][]byte{[]byte(long("f"))}, true)
			for done := false; !done; {
				fail(func() error { _, err := u.Step(limited(t)); return err })
				if between {
					mustRecord(t, w, "x")
				}
				if done, err = u.Step(limited(t)); err != nil {
					t.Fatalf("fate %v: step again: %v", fate, err)
				}
			}
			mustUpload(t, w, false, "i")
			_, h, err := checkpoint.Open(limited(t), readOnly{f}, alias, opt)
			if err != nil || h.Damaged != 0 {
				t.Fatalf("fate %v: %+v, %v", fate, h, err)
			}
			var determinants []string
			if between && fate != Dropped {
				determinants = []string{"x"} // behind the commit record, as turned out
			}
			wantHistory(t, h, []string{long("f"), "i"}, determinants)
		}
		_, h, err := checkpoint.Open(limited(t), f, alias, opt)
		if err != nil || h.Incarnation != 2 {
			t.Fatalf("fate %v: %+v, %v", fate, h, err)
		}
	}
}

func fullLog(t *testing.T, s Subject) {
	f := &Flaky{Log: s.Log}
	w, _ := mustOpen(t, f)
	f.Fates = []Fate{Full}
	err := w.Append(limited(t), []byte("1"))
	if !errors.Is(err, checkpoint.ErrFull) || errors.Is(err, checkpoint.ErrUnknown) {
		t.Fatalf("append to a full log: %v, want ErrFull for sure", err)
	}
	f.Fates = []Fate{Late, Full}
	f.Fates = []Fate{Dropped, Full}
	err = w.Append(limited(t), []byte("1"))
	if !errors.Is(err, checkpoint.ErrFull) || !errors.Is(err, checkpoint.ErrUnknown) {
		t.Fatalf("append to a full log after a try without answer: %v, want ErrFull and ErrUnknown", err)
	}
	u := w.Begin([][]byte{[]byte(long("a"))}, true)
	f.Fates = []Fate{Fine, Full, Full}
	for failures := 0; ; {
		done, err := u.Step(limited(t))
		if done {
			break
		}
		if err != nil {
			if failures++; failures > 2 || !errors.Is(err, checkpoint.ErrFull) {
				t.Fatal(err)
			}
		}
	}
	mustRecord(t, w, "2")
	_, h := mustOpen(t, f)
	wantHistory(t, h, []string{long("a")}, []string{"2"})
}

// zombie: an incarnation that was paused while a new one began cannot append, wherever it was paused.
func zombie(t *testing.T, s Subject) {
	old, _ := mustOpen(t, s.Log)
	mustRecord(t, old, "1")
	up := old.Begin([][]byte{[]byte(long("z"))}, true)
	if _, err := up.Step(limited(t)); err != nil {
		t.Fatal(err)
	}
	w, h := mustOpen(t, s.Log)
	wantHistory(t, h, nil, []string{"1"})
	for i := range 3 {
		err := old.Append(limited(t), []byte("z"))
		var fenced *checkpoint.FencedError
		if !errors.As(err, &fenced) || !errors.Is(err, checkpoint.ErrFenced) || fenced.By != 2 || fenced.Mine != 1 {
			t.Fatalf("the zombie's append: %v", err)
		}
		if _, err := up.Step(limited(t)); !errors.Is(err, checkpoint.ErrFenced) {
			t.Fatalf("the zombie's snapshot: %v", err)
		}
		mustRecord(t, w, fmt.Sprint(2+i))
	}
	if err := old.Rebegin(limited(t)); !errors.Is(err, checkpoint.ErrFenced) {
		t.Fatalf("the zombie begins again: %v", err)
	}
	_, h = mustOpen(t, s.Log)
	wantHistory(t, h, nil, []string{"1", "2", "3", "4"})
}

// zombiePurged: the zombie finds none of its entries, but a higher incarnation, and is fenced.
func zombiePurged(t *testing.T, s Subject) {
	old, _ := mustOpen(t, s.Log)
	mustRecord(t, old, "1")
	w, _ := mustOpen(t, s.Log)
	mustUpload(t, w, true, "a")
	if err := s.Purge(limited(t), count3, w.Last()); err != nil {
		t.Fatal(err)
	}
	if err := old.Append(limited(t), []byte("z")); !errors.Is(err, checkpoint.ErrFenced) {
		t.Fatalf("the zombie's append: %v, want ErrFenced", err)
	}
}

// meddler is a log in which another writer appends just before each of the first appends.
type meddler struct {
	checkpoint.Log
	meddle []func()
}

func (m *meddler) Append(ctx context.Context, alias msgid.Alias, expect checkpoint.Pos, data []byte) (checkpoint.Pos, error) {
	if len(m.meddle) > 0 {
		f := m.meddle[0]
		m.meddle = m.meddle[1:]
		f()
	}
	return m.Log.Append(ctx, alias, expect, data)
}

// beginAgainstRival: a writer that begins while others append or begin gets all that they have appended.
func beginAgainstRival(t *testing.T, s Subject) {
	old, _ := mustOpen(t, s.Log)
	mustRecord(t, old, "1")
	var rival *checkpoint.Writer
	m := &meddler{Log: s.Log, meddle: []func(){
		func() { mustRecord(t, old, "2") },
		func() { rival, _ = mustOpen(t, s.Log) },
		func() { mustRecord(t, rival, "3") },
	}}
	w, h := mustOpen(t, m)
	wantHistory(t, h, nil, []string{"1", "2", "3"})
	if w.Incarnation() != 3 {
		t.Fatalf("incarnation %d, want 3: after the rival's", w.Incarnation())
	}
	if err := rival.Append(limited(t), nil); !errors.Is(err, checkpoint.ErrFenced) {
		t.Fatalf("the rival's append: %v, want ErrFenced", err)
	}
}

// torn: a snapshot without its commit record does not count.
func torn(t *testing.T, s Subject) {
	w, _ := mustOpen(t, s.Log)
	mustUpload(t, w, true, "a", "1")
	u := w.Begin([][]byte{[]byte(long("b"))}, true)
	for range 3 {
		if done, err := u.Step(limited(t)); done || err != nil {
			t.Fatal(done, err)
		}
		mustRecord(t, w, "2")
	}
	_, h := mustOpen(t, s.Log)
	wantHistory(t, h, []string{"a"}, []string{"1", "2", "2", "2"})

	w, _ = mustOpen(t, s.Log)
	u = w.Begin([][]byte{[]byte(long("b"))}, true)
	if _, err := u.Step(limited(t)); err != nil {
		t.Fatal(err)
	}
	other := w.Begin([][]byte{[]byte("c")}, false)
	if _, err := u.Step(limited(t)); !errors.Is(err, checkpoint.ErrAbandoned) {
		t.Fatalf("step of an abandoned upload: %v", err)
	}
	for done, err := false, error(nil); !done; {
		if done, err = other.Step(limited(t)); err != nil {
			t.Fatal(err)
		}
	}
	_, h = mustOpen(t, s.Log)
	wantHistory(t, h, []string{"a", "c"}, []string{"2", "2", "2"})

	fresh, _, err := checkpoint.Open(limited(t), s.Log, msgid.Alias{Operator: "fresh"}, small)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fresh.Begin(nil, false).Step(limited(t)); !errors.Is(err, checkpoint.ErrNeedsFull) {
		t.Fatalf("an increment without a predecessor: %v, want ErrNeedsFull", err)
	}
}

// damage flips a bit in, and hides, each record of a log in turn. A restart restores the same past without the record, or
// is refused.
func damage(t *testing.T, s Subject) {
	w, _ := mustOpen(t, s.Log)
	at := map[string]checkpoint.Pos{"begin": w.Last()}
	mark := func(name string) { at[name] = w.Last() }
	upload := func(name string, full bool, determinants ...string) {
		u := w.Begin([][]byte{[]byte(long(name))}, full)
		for i := 0; ; i++ {
			done, err := u.Step(limited(t))
			if err != nil {
				t.Fatal(err)
			}
			if done {
				mark(name + " commit")
				return
			}
			mark(fmt.Sprintf("%s chunk %d", name, i))
			if len(determinants) > 0 {
				mustRecord(t, w, determinants[0])
				mark("determinants " + determinants[0])
				determinants = determinants[1:]
			}
		}
	}
	record := func(o string) { mustRecord(t, w, o); mark("determinants " + o) }
	upload("F", true)
	record("1")
	upload("I", false, "2")
	record("3")
	upload("G", true, "4")
	record("5")
	upload("J", false)
	record("6")
	last := at["determinants 6"]

	whole := func(f *Flaky) ([]string, []string) { return []string{long("G"), long("J")}, []string{"5", "6"} }
	for name, pos := range at {
		for _, byteAt := range []int{0, 1, 5, 20, 45, 1 << 30} {
			f := &Flaky{Log: s.Log, Damage: map[checkpoint.Pos]int{pos: byteAt}}
			if byteAt > 1000 && pos == last {
				continue // no trace of it is left
			}
			chain, determinants := whole(f)
			refused := false
			switch {
			case name == "determinants 5", name == "determinants 6":
				refused = true
			case name[0] == 'J':
				chain, determinants = []string{long("G")}, []string{"3", "4", "5", "6"}
			case name[0] == 'G':
				chain, determinants = []string{long("F"), long("I")}, []string{"1", "2", "3", "4", "5", "6"}
			}
			h, err := f.peek(t)
			if all, allErr := f.peekAll(t); fmt.Sprint(allErr) != fmt.Sprint(err) ||
				err == nil && fmt.Sprintf("%q%q", all.Chain, all.Determinants) != fmt.Sprintf("%q%q", h.Chain, h.Determinants) {
				t.Fatalf("%s, byte %d: the newest part gives %v, %v; the whole log %v, %v", name, byteAt, h, err, all, allErr)
			}
			switch {
			case refused && !errors.Is(err, checkpoint.ErrDamaged):
				t.Fatalf("%s, byte %d: %v, want ErrDamaged", name, byteAt, err)
			case refused:
				var d *checkpoint.DamagedError
				if !errors.As(err, &d) || d.Alias != count3 || d.Near == 0 || d.What == "" {
					t.Fatalf("%s, byte %d: %#v", name, byteAt, err)
				}
			case err != nil:
				t.Fatalf("%s, byte %d: %v", name, byteAt, err)
			default:
				wantHistory(t, h, chain, determinants)
			}
		}
	}
}

// peek opens without leaving a trace: the begin record is kept from the log.
func (f *Flaky) peek(t testing.TB) (*checkpoint.History, error) {
	_, h, err := checkpoint.Open(limited(t), readOnly{f}, count3, small)
	return h, err
}

// peekAll does so by reading the whole log: the last entry cannot be read at first.
func (f *Flaky) peekAll(t testing.TB) (*checkpoint.History, error) {
	_, h, err := checkpoint.Open(limited(t), Headless{readOnly{f}}, count3, small)
	return h, err
}

type readOnly struct{ *Flaky }

func (r readOnly) Append(context.Context, msgid.Alias, checkpoint.Pos, []byte) (checkpoint.Pos, error) {
	return 1 << 40, nil
}

// purgeRule: two full snapshots stay, with the entries that the older one needs, and no earlier one.
func purgeRule(t *testing.T, s Subject) {
	synced := checkpoint.Pos(0)
	l := &syncing{Flaky: &Flaky{Log: s.Log}, synced: &synced}
	w, _ := mustOpen(t, l)
	var commits []checkpoint.Pos
	full := func(name string) {
		mustRecord(t, w, name)
		mustUpload(t, w, true, long(name), name)
		commits = append(commits, w.Last())
	}
	first := func(want checkpoint.Pos) {
		t.Helper()
		if err := w.Purge(limited(t)); err != nil {
			t.Fatal(err)
		}
		got := checkpoint.Pos(0)
		_ = s.Read(limited(t), count3, 0, checkpoint.End, func(e checkpoint.Entry) error {
			got = e.Pos
			return checkpoint.ErrStop
		})
		if got <= want-1 || got > want+1 && want != 0 {
			t.Fatalf("the log begins at %d, want just after %d", got, want-1)
		}
	}
	begin := w.Last()
	full("a")
	synced = 1 << 40
	first(begin)
	full("b")
	first(begin) // a is the older of two: it needs all entries from the beginning
	synced = 0
	full("c")
	full("c")
	first(begin)
	synced = commits[1] - 1
	first(begin) // a is safe, b is not yet
	synced = commits[1]
	first(commits[0] + 1)
	mustUpload(t, w, false, "i")
	increment := w.Last()
	synced = 1 << 40
	first(commits[1] + 1)
	full("d")
	first(commits[2] + 1)
	full("e")
	first(increment + 1) // d follows the increment's commit

	// A new incarnation knows as much, and the older snapshot serves when the newer one is damaged.
	w, h := mustOpen(t, l)
	wantHistory(t, h, []string{long("e")}, []string{"e", "e"})
	synced = 0
	full("f")
	first(increment + 1) // e is not safe, and entries before it may be needed
	synced = 1 << 40
	first(commits[4] + 1)
	l.Damage = map[checkpoint.Pos]int{commits[6] - 1: 60}
	_, h = mustOpen(t, l)
	wantHistory(t, h, []string{long("e")}, []string{"e", "e", "f", "f"})
}

type syncing struct {
	*Flaky
	synced *checkpoint.Pos
}

func (s *syncing) Synced() checkpoint.Pos { return *s.synced }

// sizes: snapshots of every size about the chunk's, in parts of every shape.
func sizes(t *testing.T, s Subject) {
	w, _ := mustOpen(t, s.Log)
	for size := 130; size < 290; size += 13 {
		data := []byte(long("0123456789")[:size])
		u := w.Begin([][]byte{nil, data[:size/3], {}, data[size/3 : size/3+1], data[size/3+1:], nil}, true)
		for done, err := false, error(nil); !done; {
			if done, err = u.Step(limited(t)); err != nil {
				t.Fatal(err)
			}
		}
		var h *checkpoint.History
		w, h = mustOpen(t, s.Log)
		wantHistory(t, h, []string{string(data)}, nil)
	}
	huge := make([]byte, s.MaxEntry())
	if err := w.Append(limited(t), huge); !errors.Is(err, checkpoint.ErrTooLarge) {
		t.Fatalf("append of %d bytes: %v, want ErrTooLarge", len(huge), err)
	}
	mustRecord(t, w, "1")
}

// logVanished: the log is gone while the task lives. It begins again, and can be restored from its next full snapshot on;
// until then a restart is refused, since the task has consumed inputs that no log holds.
func logVanished(t *testing.T, s Subject) {
	if s.Vanish == nil {
		t.Skip("this log cannot vanish")
	}
	w, _ := mustOpen(t, s.Log)
	mustRecord(t, w, "1")
	mustUpload(t, w, true, "a")
	mustRecord(t, w, "2")
	up := w.Begin([][]byte{[]byte(long("b"))}, false)
	s.Vanish()
	if err := w.Append(limited(t), []byte("3")); !errors.Is(err, checkpoint.ErrGone) {
		t.Fatalf("append: %v, want ErrGone", err)
	}
	if err := w.Rebegin(limited(t)); err != nil {
		t.Fatal(err)
	}
	if w.Incarnation() != 1 {
		t.Fatalf("incarnation %d after Rebegin, want 1", w.Incarnation())
	}
	if _, err := up.Step(limited(t)); !errors.Is(err, checkpoint.ErrAbandoned) {
		t.Fatalf("the upload continues: %v, want ErrAbandoned", err)
	}
	mustRecord(t, w, "3")
	if _, err := w.Begin(nil, false).Step(limited(t)); !errors.Is(err, checkpoint.ErrNeedsFull) {
		t.Fatalf("an increment: %v, want ErrNeedsFull", err)
	}
	if _, _, err := checkpoint.Open(limited(t), s.Log, count3, small); !errors.Is(err, checkpoint.ErrDamaged) {
		t.Fatalf("a restart before the full snapshot: %v, want ErrDamaged", err)
	}
	mustUpload(t, w, true, "c", "4")
	mustRecord(t, w, "5")
	_, h := mustOpen(t, s.Log)
	wantHistory(t, h, []string{"c"}, []string{"3", "4", "5"})
	if h.Incarnation != 2 {
		t.Fatalf("incarnation %d, want 2", h.Incarnation)
	}
}
