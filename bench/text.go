package bench

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/spout"
)

// A Text is an input in memory, so that a benchmark measures the runtime and not the disk. It holds no pointers by
// the million: tracing them would cost the runtime's allocations more than the runtime does.
type Text struct {
	data  []byte   // the lines, one after another
	ends  []uint32 // where each line ends; the first entry is where the first begins
	Bytes int64
	Words int64
}

// Len returns the number of lines.
func (t *Text) Len() int { return len(t.ends) - 1 }

// Line returns a line, without its newline.
func (t *Text) Line(i int) []byte { return t.data[t.ends[i]:t.ends[i+1]:t.ends[i+1]] }

// GoSource reads the .go files of Go's own source tree, at most limit bytes (0: all).
func GoSource(limit int64) (*Text, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("bench: find Go's own source: %w", err)
	}
	t := &Text{ends: []uint32{0}}
	err = filepath.WalkDir(filepath.Join(strings.TrimSpace(string(out)), "src"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || limit > 0 && t.Bytes >= limit {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		t.add(data)
		return nil
	})
	return t, err
}

// longest is where a line is left out: the runtime's own examples show how such lines are cut.
const longest = 64 << 10

func (t *Text) add(data []byte) {
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		if len(line) == 0 || len(line) > longest {
			continue
		}
		t.data = append(t.data, line...)
		t.ends = append(t.ends, uint32(len(t.data)))
		t.Bytes += int64(len(line)) + 1
		for range words.Of(line) {
			t.Words++
		}
	}
}

// Source returns a spout of the text's lines, read the given number of times over.
func (t *Text) Source(passes int) spout.Source {
	return spout.Func(func() spout.Spout { return &textSpout{text: t, total: t.Len() * passes} })
}

// Paced is Source, but emits no more than so many lines a second.
func (t *Text) Paced(passes int, lines float64) spout.Source {
	began := time.Now() // of all incarnations: a restored one emits at once what it had emitted before
	return spout.Func(func() spout.Spout {
		return &textSpout{text: t, total: t.Len() * passes, rate: lines, began: began}
	})
}

type textSpout struct {
	text     *Text
	n, total int
	rate     float64 // lines a second; 0: no limit
	began    time.Time
}

func (s *textSpout) Next(_ context.Context, out spout.Emitter) error {
	if s.n == s.total {
		return io.EOF
	}
	if s.rate > 0 && float64(s.n) > time.Since(s.began).Seconds()*s.rate {
		return spout.ErrIdle
	}
	for range min(256, s.total-s.n) {
		if err := out.Row().Bytes(s.text.Line(s.n % s.text.Len())).Emit(); err != nil {
			return err
		}
		s.n++
	}
	return nil
}

func (s *textSpout) Position(dst []byte) []byte { return binary.AppendUvarint(dst, uint64(s.n)) }

func (s *textSpout) Seek(position []byte) error {
	n, k := binary.Uvarint(position)
	if k <= 0 || n > uint64(s.total) {
		return fmt.Errorf("bench: position %x is not one of this text", position)
	}
	s.n = int(n)
	return nil
}

func (s *textSpout) Progress() (done, total int64) { return int64(s.n), int64(s.total) }

// WriteTo writes the text as a file has it, each line with its newline.
func (t *Text) WriteTo(w io.Writer) (n int64, err error) {
	b := bufio.NewWriterSize(w, 1<<20)
	for i := range t.Len() {
		_, _ = b.Write(t.Line(i)) // Flush returns its error
		_ = b.WriteByte('\n')
	}
	return t.Bytes, b.Flush()
}
