package spout

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/internal/must"
)

// TestSourcesShareAndResume holds every generated source to the contract: tasks share the input, and a task that seeks to a
// position continues as the one that returned it.
func TestSourcesShareAndResume(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "n")
		parallel := rapid.IntRange(1, 5).Draw(t, "parallel")
		var words []string
		var rows [][]any
		for i := range n {
			words = append(words, fmt.Sprint("row ", i))
			rows = append(rows, []any{words[i]})
		}
		source := rapid.SampledFrom([]*Generator{
			Slice(words...),
			Rows(rows),
			Generate(int64(n), func(i int64, out Emitter) error { return out.Row().String(words[i]).Emit() }),
		}).Draw(t, "source")

		for index := range parallel {
			var want, got []string
			for i := index; i < n; i += parallel {
				want = append(want, words[i])
			}
			s := begun(t, source, index, parallel)
			for {
				lines, err := next(t, s)
				got = append(got, lines...)
				if err == io.EOF {
					break
				}
				must.Do(t, err)
				if rapid.Bool().Draw(t, "restart") {
					position := s.Position(nil)
					s = begun(t, source, index, parallel)
					must.Do(t, s.Seek(position))
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("task %d of %d emits %q, want %q", index, parallel, got, want)
			}
			if done, total := s.Progress(); done != int64(len(want)) || total != done {
				t.Fatalf("at the end, progress is %d of %d, want %d", done, total, len(want))
			}
			again := begun(t, source, index, parallel)
			must.Do(t, again.Seek(s.Position(nil))) // the end is a position, too
			if lines, err := next(t, again); err != io.EOF {
				t.Fatalf("behind the end: %q, %v", lines, err)
			}
		}
	})
}

func TestSliceOfNothing(t *testing.T) {
	for _, source := range []*Generator{Slice[int](), Rows(nil)} {
		if err := begun(t, source, 0, 1).Next(context.Background(), bolttest.NewEmitter("x")); err != io.EOF {
			t.Errorf("Next of an empty source: %v", err)
		}
	}
}

func TestSliceOfTypes(t *testing.T) {
	out := bolttest.NewEmitter("x")
	must.Do(t, begun(t, Slice(7, -7), 0, 1).Next(context.Background(), out))
	must.Do(t, begun(t, Slice([]byte("b")), 0, 1).Next(context.Background(), out))
	must.Do(t, begun(t, Slice[any](1.5, true, nil), 0, 1).Next(context.Background(), out))
	if got := fmt.Sprint(out.Rows("")); got != "[[7] [-7] [b] [1.5] [true] [<nil>]]" {
		t.Errorf("emitted %s", got)
	}
	if err := begun(t, Slice(make(chan int)), 0, 1).Next(context.Background(), out); err == nil {
		t.Error("a channel was emitted")
	}
}

func TestGenerateEndless(t *testing.T) {
	source := Generate(0, func(i int64, out Emitter) error { return out.Row().Int(i).Emit() })
	s := begun(t, source, 1, 2).(*generated)
	if _, total := s.Progress(); total != 0 {
		t.Errorf("the total is %d, want 0 for unknown", total)
	}
	s.next = math.MaxInt64 - 2 // even numbers do not end before the last odd one
	out := bolttest.NewEmitter("n")
	must.Do(t, s.Next(context.Background(), out))
	if got := fmt.Sprint(out.Rows("")); got != fmt.Sprintf("[[%d]]", math.MaxInt64-2) {
		t.Errorf("emitted %s", got)
	}
	if err := s.Next(context.Background(), out); err != io.EOF {
		t.Errorf("behind the largest number: %v", err)
	}
}

func TestGenerateErrors(t *testing.T) {
	oops := errors.New("oops")
	var fail error
	source := Generate(10, func(i int64, out Emitter) error {
		if i == 3 && fail != nil {
			return fail
		}
		return out.Row().Int(i).Emit()
	})
	out := bolttest.NewEmitter("n")
	for _, fail = range []error{io.EOF, ErrIdle} {
		s := begun(t, source, 0, 1)
		if err := s.Next(context.Background(), out); err != nil {
			t.Errorf("Next emitted and returned %v", err)
		}
		if err := s.Next(context.Background(), out); err != fail {
			t.Errorf("error %v, want %v", err, fail)
		}
	}
	out.Reset()
	fail = oops
	s := begun(t, source, 0, 1)
	if err := s.Next(context.Background(), out); err != oops {
		t.Errorf("error %v, want oops", err)
	}
	fail = nil
	if err := s.Next(context.Background(), out); err != nil || fmt.Sprint(out.Rows("")) != "[[0] [1] [2] [3] [4] [5] [6] [7] [8] [9]]" {
		t.Errorf("after a failure that passed: %v %v", out.Rows(""), err)
	}

	f := func(int64, Emitter) error { return nil }
	for _, source := range []*Generator{Generate(-1, f), Generate(1, nil), Generate(1, f).Rate(-1), Generate(1, f).Rate(math.NaN())} {
		if err := source.New().(Opener).Open(bolttest.NewContext("n", 0, 1)); err == nil {
			t.Errorf("%d, %g: opened", source.end, source.rate)
		}
	}
}

func TestGenerateRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		source := Generate(0, func(i int64, out Emitter) error { return out.Row().Int(i).Emit() }).Rate(100)
		tasks := []Spout{begun(t, source, 0, 2), begun(t, source, 1, 2)}
		out := bolttest.NewEmitter("n")
		emit := func() int { // all that is due now
			before := len(out.Encoded(""))
			for _, s := range tasks {
				for {
					if err := s.Next(context.Background(), out); err == ErrIdle {
						break
					} else if err != nil {
						t.Fatal(err)
					}
				}
			}
			return len(out.Encoded("")) - before
		}
		emit()
		for range 10 {
			time.Sleep(time.Second)
			if n := emit(); n != 100 {
				t.Errorf("%d in a second, want 100", n)
			}
		}
		time.Sleep(time.Minute)
		if n := emit(); n != 6000 {
			t.Errorf("%d after a pause of a minute, want all 6000", n)
		}

		// A restored task begins its schedule where it is: it does not wait for its past.
		restored := begun(t, source, 0, 2)
		must.Do(t, restored.Seek(tasks[0].Position(nil)))
		if err := restored.Next(context.Background(), out); err != nil {
			t.Errorf("the first call after a restore: %v", err)
		}
		if err := restored.Next(context.Background(), out); err != ErrIdle {
			t.Errorf("the second call after a restore: %v", err)
		}

		// It does not hold back its repetitions, and then it continues from there.
		restored.(Pacer).Hurry(true)
		for range 10 {
			must.Do(t, restored.Next(context.Background(), out))
		}
		restored.(Pacer).Hurry(false)
		must.Do(t, restored.Next(context.Background(), out))
		if err := restored.Next(context.Background(), out); err != ErrIdle {
			t.Errorf("the second call after the hurry: %v", err)
		}
	})
}

func TestGenerateSeek(t *testing.T) {
	source := Slice("a", "b", "c")
	at := func(index, parallel int) []byte { return begun(t, source, index, parallel).Position(nil) }
	for _, tt := range []struct {
		position []byte
		says     string
	}{
		{nil, "not a position"},
		{[]byte{0xff}, "not a position"},
		{append(at(0, 1), 0), "not a position"},
		{[]byte{0, 0}, "not a position"},
		{at(0, 2), "one of 2 tasks, and there are 1 now"},
		{[]byte{1, 5}, "number 5 of 3"},
	} {
		err := begun(t, source, 0, 1).Seek(tt.position)
		if !errors.Is(err, ErrPosition) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("Seek(%x): %v, want an error with %s", tt.position, err, tt.says)
		}
	}
	if err := begun(t, source, 0, 2).Seek(at(1, 2)); !errors.Is(err, ErrPosition) {
		t.Errorf("the position of another task: %v", err)
	}
}

// begun returns the opened spout of one task.
func begun(t must.T, source Source, index, parallel int) interface {
	Spout
	Progresser
} {
	t.Helper()
	s := source.New()
	must.Do(t, s.(Opener).Open(bolttest.NewContext("n", index, parallel)))
	return s.(interface {
		Spout
		Progresser
	})
}

// next returns the rows, of one string each, that one call of Next emits.
func next(t must.T, s Spout) (values []string, err error) {
	t.Helper()
	out := bolttest.NewEmitter("value")
	err = s.Next(context.Background(), out)
	for _, row := range out.Rows("") {
		values = append(values, row[0].(string))
	}
	if err == io.EOF && len(values) > 0 {
		t.Fatal("Next emitted a tuple and returned io.EOF")
	}
	return values, err
}
