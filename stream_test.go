package askback_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/askback/askback"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/stream"
)

type Line struct{ Text []byte }

type Word struct{ Text []byte }

// text is a source of lines.
type text []string

func (t text) New() stream.Reader[Line] { return &reading{lines: t} }

type reading struct {
	lines []string
	next  int
}

func (r *reading) Next(_ context.Context, out func(Line)) error {
	if r.next >= len(r.lines) {
		return io.EOF
	}
	out(Line{[]byte(r.lines[r.next])})
	r.next++
	return nil
}

func (r *reading) Position(dst []byte) []byte { return append(dst, byte(r.next), byte(r.next>>8)) }

func (r *reading) Seek(p []byte) error { r.next = int(p[0]) | int(p[1])<<8; return nil }

func (r *reading) Progress() (done, total int64) { return int64(r.next), int64(len(r.lines)) }

// gathered is a sink that keeps the text of its values.
type gathered struct {
	mu    sync.Mutex
	tasks map[string][]string
}

func (g *gathered) rows() (all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(g.tasks)) {
		all = append(all, g.tasks[name]...)
	}
	return all
}

type gathering[T any] struct {
	to   *gathered
	text func(T) string
}

func gather[T any](to *gathered, text func(T) string) stream.Sink[T] { return gathering[T]{to, text} }

func (g gathering[T]) New() stream.Writer[T] { return &gatherer[T]{gathering: g} }

type gatherer[T any] struct {
	gathering[T]
	rows []string
}

func (g *gatherer[T]) Write(_ context.Context, v T) error {
	g.rows = append(g.rows, g.text(v))
	return nil
}

func (g *gatherer[T]) Snapshot() ([]byte, error) { return []byte(strings.Join(g.rows, "\n")), nil }

func (g *gatherer[T]) Restore(b []byte) error {
	g.rows = nil
	if len(b) > 0 {
		g.rows = strings.Split(string(b), "\n")
	}
	return nil
}

func (g *gatherer[T]) Close() error {
	g.to.mu.Lock()
	defer g.to.mu.Unlock()
	if g.to.tasks == nil {
		g.to.tasks = map[string][]string{}
	}
	if len(g.rows) > 0 {
		g.to.tasks[fmt.Sprintf("%p", g)] = g.rows
	}
	return nil
}

func split(l Line, out func(Word)) {
	for w := range bytes.FieldsSeq(l.Text) {
		out(Word{w})
	}
}

func TestStreamWordCount(t *testing.T) {
	var lines text
	want := map[string]int{}
	for i := range 3000 {
		line := fmt.Sprintf("the %d line of w%d", i%7, i%100)
		lines = append(lines, line)
		for _, w := range strings.Fields(line) {
			want[w]++
		}
	}
	top := stream.New("wordcount")
	words := stream.FlatMap(stream.From(top, "lines", lines), "split", split)
	upper := stream.Filter(words, "all", func(Word) bool { return true })
	counts := stream.KeyBy(upper, func(w Word) []byte { return w.Text }).Count("count").Parallel(2)
	got := &gathered{}
	stream.To(counts, "out", gather(got, func(e stream.Entry[[]byte, int64]) string { return fmt.Sprintf("%s %d", e.Key, e.Value) }))

	report, err := askback.Run(t.Context(), top, faults.Kill(3, 1))
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Recoveries) < 3 {
		t.Errorf("%d recoveries", len(report.Recoveries))
	}
	rows := got.rows()
	var wanted []string
	for w, n := range want {
		wanted = append(wanted, fmt.Sprintf("%s %d", w, n))
	}
	slices.Sort(rows)
	slices.Sort(wanted)
	if !slices.Equal(rows, wanted) {
		t.Errorf("got %d rows\n%v\nwant %d\n%v", len(rows), rows[:5], len(wanted), wanted[:5])
	}
}
