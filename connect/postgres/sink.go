package postgres

import (
	"context"
	"database/sql/driver"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/stream"
)

// Sink returns a typed sink that writes values as rows, each exactly once:
//
//	stream.To(totals, "out", postgres.Sink[Total](postgres.Config{Open: open, Table: "totals", Hold: true}))
//
// T is a struct. Each exported field goes to the column that its tag names (`db:"name"`; "-" leaves it out), by default to the
// one that is called like the field in lower case, words separated by underlines (UserID is user_id); those of embedded
// structs are among them. With Config.Columns only the columns that it names are written. Booleans, numbers, strings, bytes,
// times, types with a method Value (driver.Valuer) or MarshalText, and pointers to them are written as they are, a nil pointer
// as NULL, and all others as JSON.
//
// Without Config.Hold rows are written when a batch is full, before each snapshot, and every second; SinkStep.Tick sets another
// interval.
//
// Without Config.Hold the sink recognizes a value that is written already by its message id, so it is an operator of its own.
func Sink[T any](c Config) stream.Sink[T] { return sink[T]{c} }

type sink[T any] struct{ Config }

// flushEvery is how long a row waits for its batch to become full.
const flushEvery = time.Second

// Every returns the interval on which writers are ticked. Rows that are held are written with snapshots, and a batch of one
// row does not wait.
func (s sink[T]) Every() time.Duration {
	if s.Hold || s.Batch == 1 {
		return 0
	}
	return flushEvery
}

// New returns the writer of one task.
func (s sink[T]) New() stream.Writer[T] {
	if s.Hold {
		return &heldWriter[T]{held: held{Config: s.Config}}
	}
	return &directWriter[T]{direct: direct{Config: s.Config}}
}

// directWriter is one task's part of a sink that writes rows as they come.
type directWriter[T any] struct {
	direct
	values values[T]
	id     msgid.ID // of the value that comes next
}

// Prepare derives the columns, opens the database and reads the position.
func (w *directWriter[T]) Prepare(ctx bolt.Context) error {
	if err := w.values.derive(&w.Config); err != nil {
		return bolt.Permanent(err)
	}
	return w.prepare(ctx)
}

// Verify refuses a type that has no columns, settings that cannot work, and a strategy under which rows would be lost.
func (w *directWriter[T]) Verify(s bolt.Strategy) error { return verifyType[T](w.Config, s) }

// Identify implements stream.Identifier.
func (w *directWriter[T]) Identify(id msgid.ID) { w.id = id }

// Write gathers a row, and writes what is gathered when it is enough.
func (w *directWriter[T]) Write(ctx context.Context, v T) error {
	if err := w.values.read(&w.rows, v); err != nil { // first, so that a bad value is one on a replay too
		return err
	}
	return w.take(ctx, w.id)
}

// heldWriter is one task's part of a sink that holds its rows back.
type heldWriter[T any] struct {
	held
	values values[T]
	count  counter // of values since the task began; for errors
}

// Prepare derives the columns, opens the database and reads which batch was the last.
func (w *heldWriter[T]) Prepare(ctx bolt.Context) error {
	if err := w.values.derive(&w.Config); err != nil {
		return bolt.Permanent(err)
	}
	w.count.task = ctx.Task().Alias
	return w.prepare(ctx)
}

// Verify refuses a type that has no columns, settings that cannot work, and a strategy under which no row would reach the
// table.
func (w *heldWriter[T]) Verify(s bolt.Strategy) error { return verifyType[T](w.Config, s) }

// Write gathers a row, and holds what is gathered when it is enough.
func (w *heldWriter[T]) Write(ctx context.Context, v T) error {
	if err := w.values.read(&w.rows, v, w.n+1); err != nil {
		return err
	}
	id := w.count.next()
	w.count.n++
	return w.take(ctx, id)
}

// A counter gives the values of one task ids for errors: their numbers since it began. The task itself stands for the channel.
type counter struct {
	task msgid.Alias
	n    msgid.Seq // values that were taken
}

// next returns the id of the next value.
func (c *counter) next() msgid.ID {
	return msgid.ID{Channel: msgid.Channel{Source: c.task, Target: c.task}, Seq: c.n + 1}
}

func verifyType[T any](c Config, s bolt.Strategy) error {
	if err := new(values[T]).derive(&c); err != nil {
		return err
	}
	return c.verify(s)
}

// values makes rows of values of type T. A value is copied to one place whose fields the columns read.
type values[T any] struct {
	place   *T
	columns []func() (any, error)
}

// derive finds the field of each column, and the columns if the Config names none.
func (f *values[T]) derive(c *Config) error {
	typ := reflect.TypeFor[T]()
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("postgres: table %s: values of type %v cannot be rows: %w", c.Table, typ, fmt.Errorf(format, args...))
	}
	if typ.Kind() != reflect.Struct {
		return refuse("it is no struct")
	}
	f.place = new(T)
	found, err := columnsOf(reflect.ValueOf(f.place).Elem())
	if err != nil {
		return refuse("%w", err)
	}
	if len(c.Columns) == 0 {
		for _, col := range found {
			c.Columns = append(c.Columns, Column{Name: col.name, Field: col.field})
			f.columns = append(f.columns, col.get)
		}
		if len(found) == 0 {
			return refuse("it has no exported field")
		}
		return nil
	}
	c.Columns = slices.Clone(c.Columns)
	for i, want := range c.Columns {
		at := slices.IndexFunc(found, func(col typedColumn) bool {
			return want.Field != "" && col.field == want.Field || want.Field == "" && col.name == want.Name
		})
		switch {
		case at < 0 && want.Field != "":
			return refuse("column %q takes field %q, and there is no such exported field", want.Name, want.Field)
		case at < 0:
			return refuse("column %q is that of no exported field: name its field in Config.Columns, or in a tag `db:%q`", want.Name, want.Name)
		}
		c.Columns[i].Field = found[at].field
		f.columns = append(f.columns, found[at].get)
	}
	return nil
}

// read makes the row of r the fields of a value, behind those in before.
func (f *values[T]) read(r *rows, v T, before ...any) error {
	*f.place = v
	r.row = append(r.row[:0], before...)
	for i, get := range f.columns {
		x, err := get()
		if err != nil {
			return fmt.Errorf("postgres: table %s: column %q: %w", r.of.Table, r.of.Columns[i].Name, err)
		}
		r.row = append(r.row, x)
	}
	return nil
}

// A typedColumn is a field of a struct.
type typedColumn struct {
	name, field string
	get         func() (any, error) // may be kept: it copies bytes
}

// columnsOf returns the columns of the struct at a place.
func columnsOf(v reflect.Value) (columns []typedColumn, err error) {
	for f := range v.Type().Fields() {
		at, tag := v.FieldByIndex(f.Index), f.Tag.Get("db")
		switch {
		case tag == "-":
			continue
		case f.Anonymous && tag == "" && f.Type.Kind() == reflect.Struct && valueOf(at) == nil:
			inner, err := columnsOf(at)
			if err != nil {
				return nil, err
			}
			columns = append(columns, inner...)
			continue
		case !f.IsExported():
			continue
		case tag == "":
			tag = snake(f.Name)
		}
		get := valueOf(at)
		if get == nil {
			if get, err = jsonOf(at); err != nil {
				return nil, fmt.Errorf("field %s of type %v has neither a form of SQL nor of JSON: leave it out by the tag `db:\"-\"`", f.Name, f.Type)
			}
		}
		columns = append(columns, typedColumn{name: tag, field: f.Name, get: get})
	}
	return columns, nil
}

// valueOf returns a function that reads a value as a driver takes it, nil if drivers do not take its type.
func valueOf(v reflect.Value) func() (any, error) {
	if v.CanInterface() {
		switch p := v.Addr().Interface().(type) {
		case *time.Time:
			return func() (any, error) { return *p, nil }
		case driver.Valuer: // method of the value with such a method, or of a pointer to it
			return func() (any, error) {
				x, err := p.Value()
				return keepable(x), err
			}
		case encoding.TextMarshaler:
			return func() (any, error) {
				b, err := p.MarshalText()
				return string(b), err
			}
		}
		if _, ok := v.Interface().(driver.Valuer); ok {
			return func() (any, error) {
				if v.IsNil() {
					return nil, nil
				}
				x, err := v.Interface().(driver.Valuer).Value()
				return keepable(x), err
			}
		}
	}
	switch v.Kind() {
	case reflect.String:
		return func() (any, error) { return v.String(), nil }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func() (any, error) { return v.Int(), nil }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return func() (any, error) { return v.Uint(), nil }
	case reflect.Float32, reflect.Float64:
		return func() (any, error) { return v.Float(), nil }
	case reflect.Bool:
		return func() (any, error) { return v.Bool(), nil }
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return func() (any, error) { return slices.Clone(v.Bytes()), nil }
		}
	case reflect.Pointer:
		place := reflect.New(v.Type().Elem()).Elem()
		if get := valueOf(place); get != nil {
			return func() (any, error) {
				if v.IsNil() {
					return nil, nil
				}
				place.Set(v.Elem())
				return get()
			}
		}
	}
	return nil
}

// keepable copies bytes, which may be a view.
func keepable(v driver.Value) any {
	if b, ok := v.([]byte); ok {
		return slices.Clone(b)
	}
	return v
}

// jsonOf returns a function that reads a value as JSON.
func jsonOf(v reflect.Value) (func() (any, error), error) {
	if !v.CanInterface() {
		return nil, errors.New("not exported")
	}
	var unsupported *json.UnsupportedTypeError
	if _, err := json.Marshal(reflect.Zero(v.Type()).Interface()); errors.As(err, &unsupported) {
		return nil, err
	}
	return func() (any, error) {
		b, err := json.Marshal(v.Interface())
		return string(b), err
	}, nil
}

// snake returns a Go name in lower case with underlines between its words: UserID is user_id, HTTPCode http_code.
func snake(name string) string {
	var b strings.Builder
	runes := []rune(name)
	for i, r := range runes {
		if i > 0 && unicode.IsUpper(r) && (!unicode.IsUpper(runes[i-1]) && runes[i-1] != '_' || i+1 < len(runes) && unicode.IsLower(runes[i+1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}

var (
	_ bolt.Ticker      = (*directWriter[struct{}])(nil)
	_ bolt.Finisher    = (*directWriter[struct{}])(nil)
	_ bolt.Snapshotter = (*directWriter[struct{}])(nil)
	_ bolt.Verifier    = (*directWriter[struct{}])(nil)

	_ stream.Identifier = (*directWriter[struct{}])(nil)

	_ bolt.Committer = (*heldWriter[struct{}])(nil)
	_ bolt.Verifier  = (*heldWriter[struct{}])(nil)
)
