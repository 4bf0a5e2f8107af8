package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/topology"
)

// A Line is a line of a text, as a view of it.
type Line struct{ Text []byte }

// A Word is a word of a line, as a view of it.
type Word struct{ Text []byte }

// TypedWordCount is WordCount by package stream. Fused, the source splits its lines itself, and the counts are handed to the
// sink by calls; otherwise every step is an operator of its own, as in WordCount.
func TypedWordCount(lines stream.Source[Line], parallel int, fused bool, found func(word []byte, n int64)) *stream.Topology {
	t := stream.New("wordcount")
	from := stream.From(t, "lines", lines)
	if fused {
		from = from.Parallel(parallel)
	}
	split := stream.FlatMap(from, "split", func(l Line, out func(Word)) {
		for w := range words.Of(l.Text) {
			out(Word{w})
		}
	})
	if !fused {
		split = split.Parallel(parallel).Isolate()
	}
	count := stream.KeyBy(split, func(w Word) []byte { return w.Text }).Count("count").Parallel(parallel)
	stream.To(count.Global(), "total", sinkFunc[stream.Entry[[]byte, int64]](func(e stream.Entry[[]byte, int64]) error {
		found(e.Key, e.Value)
		return nil
	}))
	return t
}

// FusedWordCount is WordCount with source and split in one spout, written by hand in rows.
func FusedWordCount(text *Text, passes, parallel int, found func(word []byte, n int64)) *topology.Builder {
	b := topology.New("wordcount")
	b.Spout("lines", spout.Func(func() spout.Spout { return &splitSpout{textShare{text: text, passes: passes}} })).
		Parallel(parallel).Fields("word")
	count(b, "lines", parallel, found)
	return b
}

// ThroughWordCount is FusedWordCount without the hand: the source's rows run through the bolt split.
func ThroughWordCount(text *Text, passes, parallel int, found func(word []byte, n int64)) *topology.Builder {
	b := topology.New("wordcount")
	lines := spout.Func(func() spout.Spout { return &lineSpout{textShare{text: text, passes: passes}} })
	split := func() bolt.Bolt { return words.Split{} }
	b.Spout("lines", spout.Through(lines).Fields("line").Then("split", split)).Parallel(parallel).Fields("word")
	count(b, "lines", parallel, found)
	return b
}

type lineSpout struct{ textShare }

func (s *lineSpout) Next(_ context.Context, out spout.Emitter) error {
	return s.next(func(line []byte) error { return out.Row().Bytes(line).Emit() })
}

type splitSpout struct{ textShare }

func (s *splitSpout) Next(_ context.Context, out spout.Emitter) error {
	return s.next(func(line []byte) error {
		for w := range words.Of(line) {
			if err := out.Row().Bytes(w).Emit(); err != nil {
				return err
			}
		}
		return nil
	})
}

// Lines returns a typed source of the text's lines, read the given number of times over.
func (t *Text) Lines(passes int) stream.Source[Line] { return textLines{t, passes} }

type textLines struct {
	text   *Text
	passes int
}

func (l textLines) New() stream.Reader[Line] {
	return &textReader{textShare{text: l.text, passes: l.passes}}
}

type textReader struct{ textShare }

func (r *textReader) Next(_ context.Context, out func(Line)) error {
	return r.next(func(line []byte) error {
		out(Line{line})
		return nil
	})
}

// A textShare is one task's part of a text: every so many-th line, read the given number of times over.
type textShare struct {
	text                 *Text
	passes               int
	n, total, index, all int
}

// Open implements spout.Opener.
func (s *textShare) Open(ctx bolt.Context) error {
	s.index, s.all = ctx.Task().Alias.Index, ctx.Task().Parallel
	s.total = (s.text.Len()*s.passes + s.all - 1 - s.index) / s.all
	return nil
}

func (s *textShare) next(line func([]byte) error) error {
	if s.n == s.total {
		return io.EOF
	}
	for range min(256, s.total-s.n) {
		if err := line(s.text.Line((s.n*s.all + s.index) % s.text.Len())); err != nil {
			return err
		}
		s.n++
	}
	return nil
}

func (s *textShare) Position(dst []byte) []byte { return binary.AppendUvarint(dst, uint64(s.n)) }

func (s *textShare) Seek(position []byte) error {
	n, k := binary.Uvarint(position)
	if k <= 0 || n > uint64(s.total) {
		return fmt.Errorf("bench: position %x is not one of this text", position)
	}
	s.n = int(n)
	return nil
}

func (s *textShare) Progress() (done, total int64) { return int64(s.n), int64(s.total) }

// sinkFunc is a sink without state: a function.
type sinkFunc[T any] func(T) error

func (f sinkFunc[T]) New() stream.Writer[T] { return f }

func (f sinkFunc[T]) Write(_ context.Context, v T) error { return f(v) }
