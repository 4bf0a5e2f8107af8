package files

import (
	"bytes"
	"io"
)

const readBytes = 256 << 10 // one read

// lines looks at a stream of bytes line by line, in one buffer that it keeps from stream to stream.
type lines struct {
	src      io.Reader
	buf      []byte
	from, to int   // buf[from:to] is read and not yet taken; the user takes by advancing from
	base     int64 // where buf[0] lies in the stream
	ended    bool  // src has nothing more
	keepCR   bool
}

// reset begins a stream at an offset.
func (l *lines) reset(src io.Reader, offset int64) {
	if l.buf == nil {
		l.buf = make([]byte, readBytes)
	}
	l.src, l.base, l.from, l.to, l.ended = src, offset, 0, 0, false
}

// offset is where the next line begins.
func (l *lines) offset() int64 { return l.base + int64(l.from) }

// view looks at the next line without taking it. If it has at most max bytes, it is whole, and size is its length
// with its end; size is 0 at the end of the stream. If it is longer, view returns its first max bytes.
// The bytes are valid until the next view.
func (l *lines) view(max int) (line []byte, size int, whole bool, err error) {
	w := l.buf[l.from:l.to]
	if len(w) > max {
		w = w[:max+1] // the rest of a huge line is not searched again for each of its pieces
	}
	i := bytes.IndexByte(w, '\n')
	if i < 0 {
		return l.viewSlowly(max)
	}
	return l.chomp(w[:i]), i + 1, true, nil
}

// viewSlowly is for a line that is not in the buffer, or is longer than max, or seems so by its carriage return.
func (l *lines) viewSlowly(max int) (line []byte, size int, whole bool, err error) {
	// Two bytes more than max decide it: max bytes, a carriage return, a line feed.
	for seen := 0; ; {
		w := l.buf[l.from:l.to]
		if len(w) > max+2 {
			w = w[:max+2]
		}
		i := bytes.IndexByte(w[seen:], '\n')
		switch {
		case i >= 0:
			line, size = l.chomp(w[:seen+i]), seen+i+1
		case len(w) == max+2:
			return w[:max], max, false, nil
		case l.ended:
			line, size = l.chomp(w), len(w)
		default:
			seen = len(w)
			if err := l.fill(); err != nil {
				return nil, 0, false, err
			}
			continue
		}
		if len(line) > max {
			return line[:max], max, false, nil
		}
		return line, size, true, nil
	}
}

func (l *lines) chomp(line []byte) []byte {
	if n := len(line); n > 0 && line[n-1] == '\r' && !l.keepCR {
		return line[:n-1]
	}
	return line
}

// fill reads more behind what is not yet taken.
func (l *lines) fill() error {
	if l.from > 0 {
		l.to = copy(l.buf, l.buf[l.from:l.to])
		l.base += int64(l.from)
		l.from = 0
	}
	if l.to == len(l.buf) { // a line fills it; view's max bounds how far this goes
		l.buf = append(l.buf, make([]byte, len(l.buf))...)
	}
	for range 100 {
		n, err := l.src.Read(l.buf[l.to:])
		l.to += n
		switch {
		case err == io.EOF:
			l.ended = true
			return nil
		case err != nil || n > 0:
			return err
		}
	}
	return io.ErrNoProgress
}
