package supervisor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// An output is the text that a worker has written: a file that it appends to, and older ones, "output.1" being the
// newest of them.
type output struct {
	path  string
	most  int64 // bytes, before it is rotated
	files int   // that are kept beside
}

// open returns the file to append to. Each write of a worker's goes to its end, wherever that then is.
func (o *output) open() (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(o.path), 0o700); err != nil {
		return nil, fmt.Errorf("supervisor: output: %w", err)
	}
	f, err := os.OpenFile(o.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("supervisor: output: %w", err)
	}
	return f, nil
}

// size is that of the file that is appended to.
func (o *output) size() int64 {
	info, err := os.Stat(o.path)
	if err != nil {
		return 0
	}
	return info.Size()
}

// written returns when something was written last; not before a moment.
func (o *output) written(earliest time.Time) time.Time {
	if info, err := os.Stat(o.path); err == nil && info.ModTime().After(earliest) {
		return info.ModTime()
	}
	return earliest
}

// older returns the path of a rotated file; 0 is the one that is appended to.
func (o *output) older(n int) string {
	if n == 0 {
		return o.path
	}
	return o.path + "." + strconv.Itoa(n)
}

// rotate copies the file away when it is long, and empties it. The worker goes on to append to it.
func (o *output) rotate() error {
	if o.size() < o.most {
		return nil
	}
	if o.files > 0 {
		for n := o.files; n > 1; n-- {
			if err := os.Rename(o.older(n-1), o.older(n)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("supervisor: rotate output: %w", err)
			}
		}
		if err := copyFile(o.older(1), o.path); err != nil {
			return fmt.Errorf("supervisor: rotate output: %w", err)
		}
	}
	if err := os.Truncate(o.path, 0); err != nil {
		return fmt.Errorf("supervisor: rotate output: %w", err)
	}
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// A report is the last output of a process.
type report struct {
	line string // that gives the reason, or the last one
	oom  bool   // the Go runtime got no memory
}

// A process that runs out of memory lists its goroutines after it has printed so.
const (
	reportBytes = 256 << 10
	reportLine  = 500 // bytes
)

// report reads the output from an offset on.
func (o *output) report(from int64) (r report) {
	f, err := os.Open(o.path)
	if err != nil {
		return r
	}
	defer func() { _ = f.Close() }()
	end := o.size()
	if from > end { // it has been rotated
		from = 0
	}
	from = max(from, end-reportBytes)
	text := make([]byte, end-from)
	n, _ := f.ReadAt(text, from)
	for line := range bytes.Lines(text[:n]) {
		line = bytes.TrimSpace(line)
		switch {
		case bytes.HasPrefix(line, []byte("fatal error: ")), bytes.HasPrefix(line, []byte("panic: ")),
			bytes.HasPrefix(line, []byte("runtime: out of memory")):
			r.oom = r.oom || bytes.Contains(line, []byte("out of memory")) || bytes.Contains(line, []byte("cannot allocate memory"))
			r.line = plain(line)
			if bytes.HasPrefix(line, []byte("fatal error: ")) || bytes.HasPrefix(line, []byte("panic: ")) {
				return r // stacks follow
			}
		case len(line) > 0:
			r.line = plain(line)
		}
	}
	return r
}

// plain makes a line readable: of a log line in JSON its message and error.
func plain(line []byte) string {
	var l struct{ Msg, Error string }
	text := string(line)
	if json.Unmarshal(line, &l) == nil && l.Msg != "" {
		text = l.Msg
		if l.Error != "" {
			text += ": " + l.Error
		}
	}
	return strings.ToValidUTF8(text[:min(len(text), reportLine)], "")
}
