package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

func TestFileNames(t *testing.T) {
	tests := []struct {
		opts     []Option
		parallel int
		want     string // the files at the end, after two tasks or one have written two rows each and a snapshot between
	}{
		{nil, 1, "words.00000001 words.00000002"},
		{nil, 2, "words.sink.0.00000001 words.sink.0.00000002 words.sink.1.00000001 words.sink.1.00000002"},
		{[]Option{Single()}, 1, "words"},
		{[]Option{Single()}, 2, "words.sink.0 words.sink.1"},
		{[]Option{Roll(1 << 20)}, 1, "words.00000001"},
	}
	for _, tt := range tests {
		dir := t.TempDir()
		for range 2 { // the second run finds the first one's files
			for i := range tt.parallel {
				s := sinkOf(t, filepath.Join(dir, "words"), i, tt.parallel, tt.opts...)
				err := s.Execute(context.Background(), fileTuple(t, 1), nil)
				if err == nil {
					err = commit(s)
				}
				if err == nil {
					err = errors.Join(s.Execute(context.Background(), fileTuple(t, 2), nil), s.Finish(context.Background(), nil), commit(s))
				}
				if err != nil && !errors.Is(err, bolt.ErrOutputExists) {
					t.Fatal(err)
				}
			}
		}
		if got := names(t, dir); got != tt.want {
			t.Errorf("%d tasks wrote %s, want %s", tt.parallel, got, tt.want)
		}
	}
}

func TestFileWithoutOutput(t *testing.T) {
	dir := t.TempDir()
	for _, s := range []*rowWriter{sinkOf(t, filepath.Join(dir, "parts"), 0, 1), sinkOf(t, filepath.Join(dir, "single"), 0, 1, Single())} {
		must.Do(t, errors.Join(commit(s), s.Finish(context.Background(), nil), commit(s), commit(s)))
		if err := s.Execute(context.Background(), fileTuple(t, 1), nil); err == nil {
			t.Error("a tuple after the end is taken")
		}
	}
	if got := names(t, dir); got != "single" {
		t.Errorf("without a tuple there is %q, want the empty single file only", got)
	}
}

func TestFileRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must.Do(t, os.WriteFile(file, nil, 0o666))
	for path, text := range map[string]string{
		filepath.Join(dir, "missing", "out"): "missing: no such file or directory: create it first",
		filepath.Join(file, "out"):           "file is not a directory",
		dir:                                  "is a directory: want the beginning of a file name",
	} {
		err := Bolt(path)().(*rowWriter).Prepare(taskContext(0, 1, 1))
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: error %v, want one with %q", path, err, text)
		}
	}

	// A fresh run does not add to an old one's parts, nor does a task whose log went back in time.
	s := sinkOf(t, filepath.Join(dir, "out"), 0, 1)
	back, err := s.Snapshot()
	must.Do(t, errors.Join(err, s.Execute(context.Background(), fileTuple(t, 1), nil), commit(s)))
	for _, snapshot := range [][]byte{nil, back} {
		s = sinkOf(t, filepath.Join(dir, "out"), 0, 1)
		if snapshot == nil {
			err = s.Execute(context.Background(), fileTuple(t, 1), nil)
		} else {
			err = s.Restore(snapshot)
		}
		if !errors.Is(err, bolt.ErrOutputExists) || !strings.Contains(err.Error(), "out.00000001, and the next to be written is part 1: take it away") {
			t.Errorf("error %v, want %v and its name", err, bolt.ErrOutputExists)
		}
	}

	// Another operator with the same path is found out when both publish the same part.
	path := filepath.Join(dir, "shared")
	one, two := sinkOf(t, path, 0, 1), sinkOf(t, path, 0, 1)
	two.names.stagedPrefix = "shared.other.0."
	must.Do(t, errors.Join(one.Execute(context.Background(), fileTuple(t, 1), nil), two.Execute(context.Background(), fileTuple(t, 2), nil), commit(one)))
	if err := commit(two); !errors.Is(err, bolt.ErrOutputExists) || !strings.Contains(err.Error(), "same path") {
		t.Errorf("error %v, want %v", err, bolt.ErrOutputExists)
	}
}

func TestFileLost(t *testing.T) {
	for _, mode := range fileModes {
		dir := t.TempDir()
		s := sinkOf(t, filepath.Join(dir, "out"), 0, 1, mode.opts...)
		must.Do(t, s.Execute(context.Background(), fileTuple(t, 1), nil))
		data, err := s.Snapshot()
		must.Do(t, errors.Join(err, s.Close(), os.Remove(filepath.Join(dir, names(t, dir)))))

		s = sinkOf(t, filepath.Join(dir, "out"), 0, 1, mode.opts...)
		err = s.Restore(data)
		if err == nil {
			err = s.Commit()
		}
		if !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "must be shared by all hosts") {
			t.Errorf("%s: error %v, want %v", mode.name, err, ErrLost)
		}
	}
}

// TestFileWriteFails lets writes fail for a while, as a full disk does. The sink tries a failed write again, as the
// runtime does, and nothing is written twice.
func TestFileWriteFails(t *testing.T) {
	dir := t.TempDir()
	s := sinkOf(t, filepath.Join(dir, "out"), 0, 1, Single(), func(o *options) { o.buffer = 1 })
	must.Do(t, errors.Join(s.Execute(context.Background(), fileTuple(t, 0), nil), s.Execute(context.Background(), fileTuple(t, 1), nil)))

	good := s.file
	readOnly, err := os.Open(good.Name())
	must.Do(t, err)
	defer readOnly.Close()
	s.file = readOnly
	for range 3 {
		err := s.Execute(context.Background(), fileTuple(t, 2), nil)
		if !bolt.IsOutage(err) || !strings.Contains(err.Error(), good.Name()) {
			t.Fatalf("error %v, want an outage that names %s", err, good.Name())
		}
		if _, err := s.Snapshot(); err == nil {
			t.Fatal("a snapshot of what cannot be written succeeds")
		}
	}
	s.file = good
	must.Do(t, errors.Join(s.Execute(context.Background(), fileTuple(t, 2), nil), s.Finish(context.Background(), nil), commit(s)))
	if b, _ := os.ReadFile(filepath.Join(dir, "out")); string(b) != "row\t0\nrow\t1\nrow\t2\n" {
		t.Errorf("the output is %q", b)
	}
}

// TestFileSyncFails: after a failed sync the task must be restored, since a second sync may wrongly succeed.
func TestFileSyncFails(t *testing.T) {
	full := error(syscall.ENOSPC)
	s := sinkOf(t, filepath.Join(t.TempDir(), "out"), 0, 1, func(o *options) { o.fsync = func(*os.File) error { return full } })
	must.Do(t, s.Execute(context.Background(), fileTuple(t, 1), nil))
	for range 2 {
		if _, err := s.Snapshot(); !errors.Is(err, full) || !bolt.IsOutage(err) {
			t.Errorf("Snapshot after a failed sync: %v", err)
		}
	}
	if err := s.Execute(context.Background(), fileTuple(t, 2), nil); !errors.Is(err, full) || !bolt.IsOutage(err) {
		t.Errorf("Execute after a failed sync: %v", err)
	}
	must.Do(t, s.Close())
}

// TestFileAbandonedSnapshot: a snapshot that never becomes durable, since the log was lost or a rollback came first,
// has closed parts all the same. Commit of the next makes them visible too, and a restored task finds what it needs.
func TestFileAbandonedSnapshot(t *testing.T) {
	inMemory(t)
	for _, mode := range fileModes {
		t.Run(mode.name, func(t *testing.T) {
			opts := append(slices.Clone(mode.opts), func(o *options) { o.fsync = noSync })
			for rows := 1; rows <= 4; rows++ {
				w := newFileWorld(t, mode)
				s := sinkOf(t, filepath.Join(w.dir, "out"), 0, 1, opts...)
				must.Do(t, s.Execute(context.Background(), fileTuple(t, 0), nil))
				durable, err := s.Snapshot()
				must.Do(t, errors.Join(err, s.Commit()))
				for i := 1; i <= rows; i++ {
					must.Do(t, s.Execute(context.Background(), fileTuple(t, i), nil))
					_, err := s.Snapshot() // abandoned
					must.Do(t, err)
				}
				if rows%2 == 0 { // the task dies with them, and its successor does the same
					must.Do(t, s.Close())
					s = sinkOf(t, filepath.Join(w.dir, "out"), 0, 1, opts...)
					must.Do(t, errors.Join(s.Restore(durable), s.Commit()))
					for i := 1; i <= rows; i++ {
						must.Do(t, s.Execute(context.Background(), fileTuple(t, i), nil))
						_, err := s.Snapshot()
						must.Do(t, err)
					}
				}
				must.Do(t, s.Execute(context.Background(), fileTuple(t, rows+1), nil))
				must.Do(t, errors.Join(s.Finish(context.Background(), nil), commit(s)))
				want := ""
				for i := range rows + 2 {
					want += fmt.Sprintf("row\t%d\n", i)
				}
				if got := w.visible(); got != want || len(w.staged()) > 0 {
					t.Errorf("%d abandoned: the output is %q, want %q; staged is %q", rows, got, want, w.staged())
				}
			}
		})
	}
}

func TestFileFormats(t *testing.T) {
	dir := t.TempDir()
	write := func(values []any, opts ...Option) (string, error) {
		path := filepath.Join(dir, "out")
		s := sinkOf(t, path, 0, 1, append(opts, Single())...)
		defer s.Close()
		err := s.Execute(context.Background(), fileTuple(t, values...), nil)
		if err == nil {
			err = errors.Join(s.Finish(context.Background(), nil), commit(s))
		}
		b, _ := os.ReadFile(path)
		return string(b), err
	}
	got, err := write([]any{uint64(1) << 63, -5, 1.5, true, []byte("bytes")})
	must.Do(t, err)
	if want := "row\t9223372036854775808\t-5\t1.5\ttrue\tbytes\n"; got != want {
		t.Errorf("the default form is %q, want %q", got, want)
	}
	when := time.Date(2026, 9, 21, 16, 13, 0, 5, time.FixedZone("", 7200))
	got, err = write([]any{when, nil, 1e21, []any{1, "<a>"}, map[string]any{"k": true}})
	must.Do(t, err)
	if want := "row\t2026-09-21T14:13:00.000000005Z\t\t1e+21\t[1,\"<a>\"]\t{\"k\":true}\n"; got != want {
		t.Errorf("the default form is %q, want %q", got, want)
	}
	got, err = write([]any{when, nil, "<b>", 2}, JSON())
	must.Do(t, err)
	if want := `{"word":"row","n":"2026-09-21T14:13:00.000000005Z","a":null,"b":"<b>","c":2}` + "\n"; got != want {
		t.Errorf("as JSON it is %q, want %q", got, want)
	}
	csv := Format(func(dst []byte, t tuple.Tuple) []byte { return fmt.Appendf(dst, "%q,%d", t.Bytes(0), t.Int(1)) })
	if got, err := write([]any{7}, csv); got != "\"row\",7\n" || err != nil {
		t.Errorf("the line is %q, %v", got, err)
	}
	if got, err := write([]any{"seven"}, csv); err == nil || got != "\"row\",7\n" {
		t.Errorf("a field of the wrong type: error %v, output %q", err, got)
	}
	long := strings.Repeat("x", 200<<10) // longer than the buffer
	if got, err := write([]any{long}); got != "row\t"+long+"\n" || err != nil {
		t.Errorf("a long line: %d bytes, %v", len(got), err)
	}
}

func FuzzFileRestore(f *testing.F) {
	dir := f.TempDir()
	outside := filepath.Join(dir, "outside.tmp")
	sub := filepath.Join(dir, "sub")
	must.Do(f, errors.Join(os.Mkdir(sub, 0o777), os.WriteFile(outside, []byte("x"), 0o666)))
	for _, name := range []string{"../outside.tmp", "out.sink.0.00000001.1-ABCD.tmp", "out.sink.0.1.1-../x.tmp", ""} {
		data, err := json.Marshal(outputState{Part: 2, Segments: []stagedFile{{name, 1, 0}}, Closed: []stagedFile{{name, 1, 1}}})
		must.Do(f, err)
		f.Add(data)
	}
	f.Add([]byte(`{"part":-1}`))
	f.Add([]byte(`{"part":1e9}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		s := sinkOf(t, filepath.Join(sub, "out"), 0, 1)
		if s.Restore(data) == nil && s.Commit() == nil {
			must.Do(t, errors.Join(s.Finish(context.Background(), nil), commit(s), s.Close()))
		}
		if _, err := os.Stat(outside); err != nil {
			t.Fatalf("restoring %q touched a file outside", data)
		}
	})
}

// BenchmarkFile writes lines of 20 bytes; snapshots are left out, since they cost what the disk costs.
func BenchmarkFile(b *testing.B) {
	s := sinkOf(b, filepath.Join(b.TempDir(), "out"), 0, 1, Format(func(dst []byte, t tuple.Tuple) []byte { return append(dst, t.Bytes(1)...) }))
	defer s.Close()
	row := fileTuple(b, "a line of 19 letter")
	b.SetBytes(20)
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Execute(context.Background(), row, nil); err != nil {
			b.Fatal(err)
		}
	}
}

func sinkOf(t testing.TB, path string, index, parallel int, opts ...Option) *rowWriter {
	t.Helper()
	s := Bolt(path, opts...)().(*rowWriter)
	must.Do(t, s.Prepare(taskContext(index, parallel, 1)))
	return s
}

func taskContext(index, parallel int, incarnation msgid.Incarnation) bolt.Context {
	return fileContext{bolt.Task{Alias: msgid.Alias{Operator: "sink", Index: index}, Parallel: parallel, Incarnation: incarnation}}
}

// commit takes a snapshot and commits it.
func commit(s *rowWriter) error {
	_, err := s.Snapshot()
	if err != nil {
		return err
	}
	return s.Commit()
}

func names(t testing.TB, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must.Do(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}
