package supervisor

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
)

// maxLine is the longest line that is shown in one, in bytes.
const maxLine = 32 << 10

// lineFilter returns a function that reports whether a line is of a task: a JSON object with its name. Without a task
// all lines are wanted.
func lineFilter(task string) func(line []byte) bool {
	if task == "" {
		return func([]byte) bool { return true }
	}
	quoted, _ := json.Marshal(task)
	return func(line []byte) bool {
		if !bytes.Contains(line, quoted) {
			return false
		}
		var l struct {
			Task string `json:"task"`
		}
		return json.Unmarshal(line, &l) == nil && l.Task == task
	}
}

// eachLine gives the lines of a text, with their line breaks, and returns how many bytes they have. Text after the last
// line break is given only if nothing can follow it any more. A line that is too long is cut into several.
func eachLine(r io.Reader, last bool, f func(line []byte)) (n int64) {
	in := bufio.NewReaderSize(r, maxLine)
	for {
		line, err := in.ReadSlice('\n')
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) && (!last || len(line) == 0) {
			return n
		}
		n += int64(len(line))
		if err != nil {
			line = append(bytes.Clone(line), '\n')
		}
		f(line)
	}
}

// tail returns at most n of the newest lines that are wanted, and where the next one begins in the file that is appended
// to.
func (o *output) tail(n int, wanted func([]byte) bool) (lines [][]byte, at int64) {
	for file := 0; file <= o.files && len(lines) < n; file++ {
		f, err := os.Open(o.older(file))
		if err != nil {
			break
		}
		older := &ring{most: n - len(lines)}
		end := eachLine(f, file > 0, func(line []byte) {
			if wanted(line) {
				older.add(line)
			}
		})
		_ = f.Close()
		if file == 0 {
			at = end
		}
		lines = append(older.lines(), lines...)
	}
	return lines, at
}

// A ring keeps the newest lines.
type ring struct {
	most int
	all  [][]byte
	next int // to be replaced, when it is full
}

func (r *ring) add(line []byte) {
	if len(r.all) < r.most {
		r.all = append(r.all, bytes.Clone(line))
		return
	}
	r.all[r.next] = append(r.all[r.next][:0], line...)
	r.next = (r.next + 1) % r.most
}

func (r *ring) lines() [][]byte {
	return append(r.all[r.next:len(r.all):len(r.all)], r.all[:r.next]...)
}

// A follower reads lines that are appended to an output.
type follower struct {
	out    *output
	wanted func([]byte) bool
	at     int64 // where the next line begins
}

// read gives the lines that have been written since it was called last, as far as they fit into a chunk.
func (f *follower) read(give func(line []byte)) {
	if f.out.size() < f.at { // it has been rotated: the rest is in the copy
		f.from(f.out.older(1), true, give)
		f.at = 0
	}
	f.at += f.from(f.out.path, false, give)
}

func (f *follower) from(path string, last bool, give func(line []byte)) int64 {
	in, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer func() { _ = in.Close() }()
	size := int64(chunk)
	if last {
		size = f.out.most
	}
	return eachLine(io.NewSectionReader(in, f.at, size), last, func(line []byte) {
		if f.wanted(line) {
			give(line)
		}
	})
}
