package files

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
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
	"github.com/askback/askback/tuple"
)

// TestFilesAgainstTwin reads random files in every way, resumes at random positions, and compares with a dumb
// reading of the same bytes.
func TestFilesAgainstTwin(t *testing.T) {
	root := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)

		source := Spout(dir)
		source.batch = rapid.SampledFrom([]int{1, 100, batchBytes}).Draw(t, "batch")
		cut := rapid.SampledFrom([]int{0, 1, 2, 5, 40}).Draw(t, "cut")
		if cut > 0 {
			source.Cut(cut, afterSpace)
		}
		empty, cr := rapid.Bool().Draw(t, "KeepEmpty"), rapid.Bool().Draw(t, "KeepCR")
		source.keepEmpty, source.keepCR = empty, cr

		var want []string
		parallel := rapid.IntRange(1, 3).Draw(t, "parallel")
		index := rapid.IntRange(0, parallel-1).Draw(t, "index")
		for i := range rapid.IntRange(1, 5).Draw(t, "files") {
			parts := rapid.SliceOfN(rapid.SampledFrom([]string{"\n", "\r", "\r\n", " ", "a", "bc", "\x00\xff", "long word"}), 0, 60)
			content := []byte(strings.Join(parts.Draw(t, "content"), ""))
			write(t, filepath.Join(dir, fmt.Sprintf("%d%s", i, rapid.SampledFrom([]string{"", ".gz"}).Draw(t, "ext"))), content)
			if i%parallel == index {
				want = append(want, twin(content, cut, empty, cr)...)
			}
		}

		s := opened(t, source, index, parallel)
		var got []string
		for {
			if rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
				position := s.Position(nil)
				s.Close()
				s = opened(t, source, index, parallel)
				if err := s.Seek(position); err != nil {
					t.Fatal(err)
				}
			}
			lines, err := next(t, s)
			got = append(got, lines...)
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("read\n%q, want\n%q", got, want)
		}
		if done, total := s.Progress(); done != total {
			t.Fatalf("at the end, progress is %d of %d", done, total)
		}
		if s.file != nil {
			t.Fatal("a file is open at the end")
		}
	})
}

// twin is what a file's lines are, by the words of the documentation.
func twin(content []byte, cut int, empty, cr bool) (lines []string) {
	if len(content) == 0 {
		return nil
	}
	for _, line := range strings.Split(strings.TrimSuffix(string(content), "\n"), "\n") {
		if !cr {
			line = strings.TrimSuffix(line, "\r")
		}
		if line == "" && !empty {
			continue
		}
		for cut > 0 && len(line) > cut {
			n := 0
			for width := cut; n == 0; width *= 2 {
				if width >= len(line) {
					if n = afterSpace([]byte(line)); n == 0 {
						n = len(line)
					}
					break
				}
				n = afterSpace([]byte(line[:width]))
			}
			if n == len(line) {
				break
			}
			lines, line = append(lines, line[:n]), line[n:]
		}
		lines = append(lines, line)
	}
	return lines
}

func afterSpace(b []byte) int { return bytes.LastIndexByte(b, ' ') + 1 }

func TestFilesLargerThanTheBuffer(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big.txt")
	var content []byte
	for i := range 40000 {
		content = fmt.Appendf(content, "%d %s\n", i, strings.Repeat("x", i%97))
	}
	content = append(content, bytes.Repeat([]byte("y"), readBytes+readBytes/2)...) // the buffer must grow for it
	write(t, path, content)
	if got, want := all(t, opened(t, Spout(path), 0, 1)), twin(content, 0, false, false); !slices.Equal(got, want) {
		t.Fatalf("read %d lines, want %d", len(got), len(want))
	}

	// A line of any length passes through Cut.
	huge := bytes.Repeat([]byte("word "), 1<<20)
	write(t, path, huge)
	s := opened(t, Spout(path).Cut(10_000, afterSpace), 0, 1)
	if got := strings.Join(all(t, s), ""); got != string(huge) {
		t.Fatalf("the pieces make %d bytes, want %d", len(got), len(huge))
	}
	if len(s.lines.buf) > readBytes {
		t.Fatalf("the buffer has grown to %d bytes", len(s.lines.buf))
	}
}

func TestFilesExpand(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, path := range []string{"b.go", "a.go", "sub/c.go", "sub/deep/d.go", "sub/deep/e.txt", ".hidden.go", "br[ack]et*.go", "c"} {
		write(t, path, []byte(path+"\n"))
	}
	must.Do(t, os.MkdirAll("not_a_file.go/inner", 0o777))
	write(t, "not_a_file.go/inner/f.go", []byte("f\n"))
	must.Do(t, os.Symlink("nowhere", "dangling.go"))
	must.Do(t, os.Symlink("a.go", "link.go"))
	must.Do(t, os.Symlink("..", "sub/loop"))

	everyGo := []string{".hidden.go", "a.go", "b.go", "br[ack]et*.go", "link.go", "not_a_file.go/inner/f.go", "sub/c.go", "sub/deep/d.go"}
	tests := []struct {
		source *Source[spout.Spout]
		want   []string
	}{
		{Spout("**/*.go"), everyGo},
		{Spout("."), append([]string{"c", "sub/deep/e.txt"}, everyGo...)},
		{Spout(".").Match("**/*.go"), everyGo},
		{Spout(".").Match("*.go").Match("**/*.txt"), []string{".hidden.go", "a.go", "b.go", "br[ack]et*.go", "link.go", "sub/deep/e.txt"}},
		{Spout("a.go", "./a.go", "*.go", filepath.Join(dir, "b.go")), []string{".hidden.go", "a.go", "b.go", "br[ack]et*.go", "link.go"}},
		{Spout("sub", "sub/deep"), []string{"sub/c.go", "sub/deep/d.go", "sub/deep/e.txt"}},
		{Spout("sub/loop").Match("sub/*.go"), []string{"sub/loop/sub/c.go"}},
		{Spout("not_a_file.go"), []string{"not_a_file.go/inner/f.go"}},
		{Spout("not_a_file.go/"), []string{"not_a_file.go/inner/f.go"}},
		{Spout("br[ack]et*.go"), []string{"br[ack]et*.go"}},
		{Spout("{a,b}.go", "sub/../c"), []string{"a.go", "b.go", "c"}},
	}
	for _, tt := range tests {
		list, err := tt.source.expand()
		if err != nil {
			t.Errorf("%q: %v", tt.source.patterns, err)
			continue
		}
		var got []string
		for _, f := range list.files {
			got = append(got, f.path)
		}
		slices.Sort(tt.want)
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q: found\n%q, want\n%q", tt.source.patterns, got, tt.want)
		}
	}

	if n, size, err := Spout("a.go", "c").Total(); n != 2 || size != 7 || err != nil {
		t.Errorf("Total() = %d, %d, %v", n, size, err)
	}
}

func TestFilesRefused(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, "a.txt", []byte("a\n"))
	must.Do(t, os.Mkdir("empty", 0o777))
	tests := []struct {
		source *Source[spout.Spout]
		is     error
		says   string
	}{
		{Spout(), ErrNoFiles, "was given no pattern"},
		{Spout("a.txt", "missing.txt"), os.ErrNotExist, "missing.txt"},
		{Spout("a.txt/b"), nil, "a.txt/b"},
		{Spout("*.go"), ErrNoFiles, `"*.go"`},
		{Spout("nodir/**"), ErrNoFiles, `"nodir/**"`},
		{Spout("empty"), ErrNoFiles, "below empty"},
		{Spout(".").Match("*.go"), ErrNoFiles, `matches ["*.go"]`},
		{Spout(os.DevNull), ErrNoFiles, "is not a regular file"},
		{Spout("a[.txt"), nil, `"a[.txt"`},
		{Spout(".").Match("a["), nil, `Match("a[")`},
		{Spout("a.txt").Cut(0, nil), nil, "Cut(0)"},
		{Spout("a.txt").Cut(10, nil).MaxPiece(9), nil, "MaxPiece(9)"},
		{Spout("a.txt").MaxLine(0), nil, "MaxLine(0)"},
	}
	for _, tt := range tests {
		err := tt.source.New().(spout.Opener).Open(bolttest.NewContext("lines", 0, 1))
		if err == nil || tt.is != nil && !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%q: error %v, want one with %s", tt.source.patterns, err, tt.says)
		}
	}

	// The failure is not remembered: once the file is there, the next incarnation finds it.
	source := Spout("late.txt")
	if _, _, err := source.Total(); err == nil {
		t.Error("Total of a missing file succeeds")
	}
	write(t, "late.txt", []byte("late\n"))
	if got := all(t, opened(t, source, 0, 1)); !slices.Equal(got, []string{"late"}) {
		t.Errorf("read %q", got)
	}
}

func TestFilesUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	path := filepath.Join(t.TempDir(), "secret.txt")
	write(t, path, []byte("x\n"))
	must.Do(t, os.Chmod(path, 0))
	_, err := next(t, opened(t, Spout(path), 0, 1))
	if !errors.Is(err, os.ErrPermission) || !strings.Contains(err.Error(), path) {
		t.Fatalf("error %v, want one that names %s", err, path)
	}
}

func TestFilesShare(t *testing.T) {
	dir := t.TempDir()
	var want, got []string
	for i := range 7 {
		line := fmt.Sprint("line of ", i)
		write(t, filepath.Join(dir, fmt.Sprint(i)), []byte(line))
		want = append(want, line)
	}
	source := Spout(dir)
	var total int64
	for i := range 9 { // more tasks than files: two have nothing to do
		s := opened(t, source, i, 9)
		_, n := s.Progress()
		total += n
		got = append(got, all(t, s)...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("read %q", got)
	}
	if _, bytes, _ := source.Total(); bytes != total {
		t.Errorf("the tasks have %d bytes together, Total is %d", total, bytes)
	}
}

func TestFilesLongLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "long.txt")
	write(t, path, []byte("short\n\nab cd\n0123456789\nend\n"))

	s := opened(t, Spout(path).MaxLine(9), 0, 1)
	lines, err := next(t, s)
	if !slices.Equal(lines, []string{"short", "ab cd"}) || !errors.Is(err, ErrLongLine) {
		t.Fatalf("read %q, %v", lines, err)
	}
	if want := path + ":4: 10 bytes, at byte 13; the limit is 9: raise MaxLine, or give Cut"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q lacks %q", err, want)
	}
	if got := all(t, opened(t, Spout(path).MaxLine(10), 0, 1)); len(got) != 4 {
		t.Errorf("a line of the longest length: read %q", got)
	}

	s = opened(t, Spout(path).Cut(4, afterSpace).MaxPiece(8), 0, 1)
	lines, err = next(t, s)
	if !slices.Equal(lines, []string{"short", "ab ", "cd"}) || !errors.Is(err, ErrLongPiece) {
		t.Fatalf("read %q, %v", lines, err)
	}
	if want := path + " at byte 13 has no place to cut within 8 bytes: raise MaxPiece"; !strings.Contains(err.Error(), want) {
		t.Errorf("error %q lacks %q", err, want)
	}
	if got := all(t, opened(t, Spout(path).Cut(4, nil), 0, 1)); !slices.Equal(got, []string{"shor", "t", "ab c", "d", "0123", "4567", "89", "end"}) {
		t.Errorf("cut anywhere: %q", got)
	}
	_, err = next(t, opened(t, Spout(path).Cut(4, func(b []byte) int { return len(b) + 1 }), 0, 1))
	if err == nil || !strings.Contains(err.Error(), "returned 5 for 4 bytes") {
		t.Errorf("a wrong cut: error %v", err)
	}
}

func TestFilesChange(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a.txt"), filepath.Join(dir, "b.txt")
	fresh := func() *rowReader {
		write(t, a, []byte("one\ntwo\nthree\n"))
		write(t, b, []byte("four\n"))
		source := Spout(dir)
		source.batch = 1
		return opened(t, source, 0, 1)
	}
	s := fresh()
	if lines, err := next(t, s); len(lines) != 1 || err != nil {
		t.Fatal(lines, err)
	}
	position := s.Position(nil)
	s.Close()

	t.Run("another process", func(t *testing.T) {
		s := fresh()
		must.Do(t, s.Seek(position))
		if got := all(t, s); !slices.Equal(got, []string{"two", "three", "four"}) {
			t.Errorf("read %q", got)
		}
	})
	t.Run("grown since", func(t *testing.T) {
		fresh()
		write(t, a, []byte("one\ntwo\nthree\nmore\n"))
		seekFails(t, opened(t, Spout(dir), 0, 1), position, ErrChanged,
			"over 2 files with 19 bytes, and there are 2 files with 24 bytes now; file number 0, being read, is not the present "+a)
	})
	t.Run("one more", func(t *testing.T) {
		fresh()
		c := filepath.Join(dir, "c.txt")
		write(t, c, nil)
		defer os.Remove(c)
		seekFails(t, opened(t, Spout(dir), 0, 1), position, ErrChanged, "and there are 3 files with 19 bytes now")
	})
	t.Run("other parallelism", func(t *testing.T) {
		fresh()
		seekFails(t, opened(t, Spout(dir), 0, 2), position, spout.ErrPosition, "one of 1 tasks, and there are 2 now")
	})
	t.Run("other task", func(t *testing.T) {
		fresh()
		p := opened(t, Spout(dir), 0, 2).Position(nil)
		seekFails(t, opened(t, Spout(dir), 1, 2), p, spout.ErrPosition, "file number 0")
	})
	t.Run("grows while it is read", func(t *testing.T) {
		s := fresh()
		f, err := os.OpenFile(b, os.O_APPEND|os.O_WRONLY, 0)
		must.Do(t, err)
		_, err = f.WriteString("five\n")
		must.Do(t, errors.Join(err, f.Close()))
		if got := all(t, s); !slices.Equal(got, []string{"one", "two", "three", "four"}) {
			t.Errorf("read %q", got)
		}
	})
	t.Run("shrinks while it is read", func(t *testing.T) {
		s := fresh()
		must.Do(t, os.Truncate(b, 2))
		_, err := rest(t, s)
		if !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), b) {
			t.Errorf("error %v, want one that names %s", err, b)
		}
	})
	t.Run("vanishes while it is read", func(t *testing.T) {
		s := fresh()
		must.Do(t, os.Remove(b))
		_, err := rest(t, s)
		if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), b) {
			t.Errorf("error %v, want one that names %s", err, b)
		}
	})
}

func TestFilesGzip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.gz")
	one, two := compressed(t, []byte("one\ntw")), compressed(t, []byte("o\nthree"))

	must.Do(t, os.WriteFile(path, slices.Concat(one, two), 0o666)) // members count as one
	s := opened(t, Spout(path), 0, 1)
	if got := all(t, s); !slices.Equal(got, []string{"one", "two", "three"}) {
		t.Errorf("read %q", got)
	}
	for name, content := range map[string][]byte{
		"empty": nil, "truncated": one[:len(one)-3], "no gzip": []byte("plain text, and long enough"), "garbage behind": append(slices.Clone(one), "garbage"...),
	} {
		must.Do(t, os.WriteFile(path, content, 0o666))
		_, err := rest(t, opened(t, Spout(path), 0, 1))
		if err == nil || err == io.EOF || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v, want one that names %s", name, err, path)
		}
	}

	// A position behind the end of a changed file of the same length.
	write(t, path, bytes.Repeat([]byte("aaaa\n"), 5000))
	source := Spout(path)
	s = opened(t, source, 0, 1)
	if _, err := next(t, s); err != nil {
		t.Fatal(err)
	}
	position := s.Position(nil)
	s.Close()
	size := source.list.files[0].size
	must.Do(t, os.WriteFile(path, one, 0o666))
	must.Do(t, os.Truncate(path, size)) // zeros behind the member are garbage
	if err := opened(t, Spout(path), 0, 1).Seek(position); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names %s", err, path)
	}
}

func FuzzFilesSeek(f *testing.F) {
	dir := f.TempDir()
	write(f, filepath.Join(dir, "a"), []byte("one\ntwo\n"))
	write(f, filepath.Join(dir, "b.gz"), []byte("three\n"))
	source := Spout(dir)
	s := opened(f, source, 0, 1)
	f.Add(s.Position(nil))
	all(f, s)
	f.Add(s.Position(nil))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, position []byte) {
		s := opened(t, source, 0, 1)
		defer s.Close()
		if err := s.Seek(position); err != nil {
			return
		}
		_, err := rest(t, s)
		if err != io.EOF {
			t.Fatalf("accepted %x, then: %v", position, err)
		}
	})
}

func TestFilesAllocateNothingPerLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a")
	write(t, path, bytes.Repeat([]byte("a line of text\n"), 1<<18))
	s := opened(t, Spout(path), 0, 1)
	defer s.Close()
	out := newCounter()
	if n := testing.AllocsPerRun(100, func() {
		if err := s.Next(context.Background(), out); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations in a call of Next", n)
	}
}

// BenchmarkFiles reads cached lines of 40 bytes. "sink" hands each to a sink that drops it, "lines" only cuts.
func BenchmarkFiles(b *testing.B) {
	path := filepath.Join(b.TempDir(), "a")
	const size = 64 << 20
	write(b, path, bytes.Repeat([]byte("a line of text of usual length: forty..\n"), size/40))
	source := Spout(path)
	b.Run("sink", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			s, out := opened(b, source, 0, 1), newCounter()
			for err := error(nil); err != io.EOF; err = s.Next(context.Background(), out) {
			}
			if out.n != size/40 {
				b.Fatal(out.n)
			}
		}
	})
	b.Run("lines", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			f, err := source.list.files[0].open(0)
			must.Do(b, err)
			var l lines
			l.reset(f, 0)
			for {
				_, size, _, _ := l.view(defaultMaxLine)
				if size == 0 {
					break
				}
				l.from += size
			}
			f.Close()
		}
	})
}

// counter is an emitter that only counts.
type counter struct {
	row *tuple.Row
	n   int
}

func newCounter() *counter {
	c := &counter{}
	f, err := tuple.NewFields("line")
	if err != nil {
		panic(err)
	}
	c.row = tuple.NewRow(f, c)
	return c
}

func (c *counter) Take(*tuple.Row) error   { c.n++; return nil }
func (c *counter) Row() *tuple.Row         { return c.row.Begin() }
func (c *counter) Emit(...any) error       { return errors.New("not used") }
func (c *counter) On(string) tuple.Emitter { return c }

// write writes a file, compressed if its name ends in .gz.
func write(t must.T, path string, content []byte) {
	t.Helper()
	if strings.HasSuffix(path, ".gz") {
		content = compressed(t, content)
	}
	must.Do(t, os.MkdirAll(filepath.Dir(path), 0o777))
	must.Do(t, os.WriteFile(path, content, 0o666))
}

func compressed(t must.T, content []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := z.Write(content)
	must.Do(t, errors.Join(err, z.Close()))
	return b.Bytes()
}

func opened(t must.T, source *Source[spout.Spout], index, parallel int) *rowReader {
	t.Helper()
	s := source.New().(*rowReader)
	must.Do(t, s.Open(bolttest.NewContext("lines", index, parallel)))
	return s
}

// next returns what one call of Next emits.
func next(t must.T, s spout.Spout) (lines []string, err error) {
	t.Helper()
	out := bolttest.NewEmitter("line")
	err = s.Next(context.Background(), out)
	for _, row := range out.Rows("") {
		lines = append(lines, row[0].(string))
	}
	if err == io.EOF && len(lines) > 0 {
		t.Fatal("Next emitted something and returned io.EOF")
	}
	return lines, err
}

// rest returns what is emitted until an error.
func rest(t must.T, s spout.Spout) (all []string, err error) {
	t.Helper()
	for {
		lines, err := next(t, s)
		all = append(all, lines...)
		if err != nil {
			return all, err
		}
	}
}

// all returns what is emitted until the end.
func all(t must.T, s spout.Spout) []string {
	t.Helper()
	lines, err := rest(t, s)
	if err != io.EOF {
		t.Fatal(err)
	}
	return lines
}

func seekFails(t *testing.T, s spout.Spout, position []byte, is error, says string) {
	t.Helper()
	if err := s.Seek(position); !errors.Is(err, is) || !strings.Contains(err.Error(), says) {
		t.Errorf("error %v, want one with %s", err, says)
	}
}
