package files

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
)

// TestLines reads random files with both forms of the source, resumes at random positions, and holds each field of a line
// against the file's content.
func TestLines(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		must.Do(t, err)
		defer os.RemoveAll(dir)
		rows, lines := Spout(dir), Lines(dir)
		batch, cut := rapid.SampledFrom([]int{1, 100, batchBytes}).Draw(t, "batch"), rapid.SampledFrom([]int{0, 2, 5}).Draw(t, "cut")
		for _, in := range []*input{&rows.input, &lines.input} {
			in.batch, in.cut, in.cutMax, in.cutAt = batch, cut > 0, cut, afterSpace
		}
		contents := map[string][]byte{}
		for i := range rapid.IntRange(1, 4).Draw(t, "files") {
			parts := rapid.SliceOfN(rapid.SampledFrom([]string{"\n", "\r\n", " ", "a", "bc", "long word"}), 0, 40)
			path := filepath.Join(dir, fmt.Sprintf("%d%s", i, rapid.SampledFrom([]string{"", ".gz"}).Draw(t, "ext")))
			contents[path] = []byte(strings.Join(parts.Draw(t, "content"), ""))
			write(t, path, contents[path])
		}

		r := begun(t, lines)
		var got []string
		for err := error(nil); err != io.EOF; {
			if rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
				position := r.Position(nil)
				must.Do(t, r.(io.Closer).Close())
				r = begun(t, lines)
				must.Do(t, r.Seek(position))
			}
			if err = r.Next(context.Background(), func(l Line) {
				content := contents[l.File]
				if !bytes.HasPrefix(content[l.Offset:], l.Text) {
					t.Fatalf("%q is not at byte %d of %q", l.Text, l.Offset, content)
				}
				if above := int64(bytes.Count(content[:l.Offset], []byte{'\n'})); l.Number != above+1 {
					t.Fatalf("%q at byte %d of %q has number %d", l.Text, l.Offset, content, l.Number)
				}
				got = append(got, string(l.Text))
			}); err != nil && err != io.EOF {
				t.Fatal(err)
			}
		}
		if want := all(t, opened(t, rows, 0, 1)); !slices.Equal(got, want) {
			t.Fatalf("read\n%q, and as rows\n%q", got, want)
		}
	})
}

// A topology infers the type of the values from the source and from the sink.
func TestTypesAreInferred(t *testing.T) {
	if got := valueOf(Lines("x").Match("*.go").KeepEmpty()); got != "files.Line" {
		t.Errorf("the values of Lines are %s", got)
	}
	var _ spout.Source = Spout("x")
	var _ stream.Sink[Line] = Sink[Line]("x")
}

func valueOf[T any](stream.Source[T]) string { return fmt.Sprintf("%T", *new(T)) }

func TestLinesAllocateNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, bytes.Repeat([]byte("a line of text\n"), 1<<18))
	r := begun(t, Lines(path))
	defer func() { must.Do(t, r.(io.Closer).Close()) }()
	n := 0
	count := func(l Line) { n += len(l.Text) }
	if allocations := testing.AllocsPerRun(100, func() {
		must.Do(t, r.Next(context.Background(), count))
	}); allocations > 0 {
		t.Errorf("%v allocations in a call of Next", allocations)
	}
}

func begun(t must.T, s *Source[stream.Reader[Line]]) stream.Reader[Line] {
	t.Helper()
	r := s.New()
	must.Do(t, r.(spout.Opener).Open(bolttest.NewContext("lines", 0, 1)))
	return r
}
