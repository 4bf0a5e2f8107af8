// Package bolttest helps to test a bolt or a spout by itself, without a runtime.
//
// MustTuple makes an input tuple, an Emitter records the output, and a Context replaces that of a task:
//
//	out := bolttest.NewEmitter("word")
//	err := Split{}.Execute(ctx, bolttest.MustTuple("line", "to be or not"), out)
//	… out.Rows("") is [][]any{{"to"}, {"be"}, {"or"}, {"not"}} …
//
// No value of this package may be used by several goroutines at once.
package bolttest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// MustTuple returns a tuple of values, with the field names in one string: MustTuple("word n", "to", 1). It is a mistake in
// the test, and panics, if they do not fit together; tuple.New returns an error instead.
func MustTuple(fields string, values ...any) tuple.Tuple {
	f, err := tuple.NewFields(strings.Fields(fields)...)
	if err != nil {
		panic(fmt.Errorf("bolttest: MustTuple(%q): %w", fields, err))
	}
	t, err := tuple.New(f, values...)
	if err != nil {
		panic(fmt.Errorf("bolttest: MustTuple(%q): %w", fields, err))
	}
	return t
}

// An Emitter is a tuple.Emitter that records.
type Emitter struct {
	*stream
	streams map[string]*stream
}

// stream records the rows of one stream.
type stream struct {
	of   *Emitter
	row  *tuple.Row
	rows [][]byte
}

// NewEmitter returns an emitter whose default stream has these fields. Without fields, every Emit on it fails, as
// for an operator that declares none.
func NewEmitter(fields ...string) *Emitter {
	e := &Emitter{streams: make(map[string]*stream)}
	if len(fields) > 0 {
		e.Stream("", fields...)
	} else {
		e.streams[""] = e.broken("")
	}
	e.stream = e.streams[""]
	return e
}

// Stream declares a named stream.
func (e *Emitter) Stream(name string, fields ...string) *Emitter {
	s := &stream{of: e}
	if f, err := tuple.NewFields(fields...); err != nil {
		s.row = tuple.NewBrokenRow(fmt.Errorf("bolttest: stream %q: %w", name, err), nil)
	} else {
		s.row = tuple.NewRow(f, s)
	}
	e.streams[name] = s
	return e
}

// Rows returns the rows emitted on a stream, "" for the default one; values are as Tuple.Any gives them.
func (e *Emitter) Rows(stream string) [][]any {
	var rows [][]any
	for _, b := range e.Encoded(stream) {
		var c tuple.Cursor
		c.Reset(b, tuple.Origin{First: 1})
		if _, err := c.Next(); err != nil {
			rows = append(rows, []any{err}) // never: a row that was emitted can be read
			continue
		}
		row := make([]any, c.Tuple().Len())
		for i := range row {
			row[i] = c.Tuple().Any(i)
		}
		rows = append(rows, row)
	}
	return rows
}

// Encoded returns the msgpack bytes of each tuple that was emitted on a stream.
func (e *Emitter) Encoded(stream string) [][]byte {
	if s := e.streams[stream]; s != nil {
		return slices.Clone(s.rows)
	}
	return nil
}

// Reset drops the recorded rows.
func (e *Emitter) Reset() {
	for _, s := range e.streams {
		s.rows = nil
	}
}

func (e *Emitter) broken(name string) *stream {
	return &stream{of: e, row: tuple.NewBrokenRow(fmt.Errorf("bolttest: stream %q is not declared", name), nil)}
}

// Row begins a tuple.
func (s *stream) Row() *tuple.Row { return s.row.Begin() }

// Emit records a tuple of these values.
func (s *stream) Emit(values ...any) error { return s.Row().Values(values...).Emit() }

// On returns the emitter of a stream.
func (s *stream) On(name string) tuple.Emitter {
	if s := s.of.streams[name]; s != nil {
		return s
	}
	return s.of.broken(name)
}

// Take records a row; a tuple.Row calls it.
func (s *stream) Take(r *tuple.Row) error {
	s.rows = append(s.rows, slices.Clone(r.Encoded()))
	return nil
}

// A Context is a bolt.Context. Its time is fixed, and its random numbers are the same in each test.
type Context struct {
	Who  bolt.Task
	Time time.Time // the result of Now; a test may set it at any time

	state *state.Store
	rand  *rand.Rand
}

// NewContext returns the context of one of several tasks of an operator, in its first incarnation.
func NewContext(operator string, index, parallel int) *Context {
	return &Context{
		Who: bolt.Task{
			Topology: "test", Alias: msgid.Alias{Operator: operator, Index: index}, Parallel: parallel, Incarnation: 1,
		},
		Time:  time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC),
		state: state.NewStore(),
		rand:  rand.New(rand.NewPCG(1, uint64(index))),
	}
}

// Task returns Who.
func (c *Context) Task() bolt.Task { return c.Who }

// State returns the keyed state, empty at first.
func (c *Context) State() *state.Store { return c.state }

// Now returns Time.
func (c *Context) Now() time.Time { return c.Time }

// Rand returns the next number of a fixed sequence.
func (c *Context) Rand() uint64 { return c.rand.Uint64() }
