package postgres

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// rows are what a task has gathered for one transaction.
type rows struct {
	of     *Config
	ids    []msgid.ID
	values []any // row after row, all of one length
	row    []any // that was read last
}

// fields are which field of a tuple goes to each column; nil: it is not known yet.
type fields []int

// read makes the row of r the values of a tuple, behind those in before.
func (f *fields) read(r *rows, t tuple.Tuple, before ...any) error {
	if *f == nil {
		found := make(fields, len(r.of.Columns))
		for i, col := range r.of.Columns {
			name := col.Field
			if name == "" {
				name = col.Name
			}
			if found[i] = t.Fields().Index(name); found[i] < 0 {
				return fmt.Errorf("postgres: table %s: column %q takes field %q, and there is none in (%v)", r.of.Table, col.Name, name, t.Fields())
			}
		}
		*f = found
	}
	r.row = append(r.row[:0], before...)
	for _, i := range *f {
		v := t.Any(i)
		switch v.(type) {
		case []any, map[string]any:
			b, err := json.Marshal(v)
			if err != nil {
				return fmt.Errorf("postgres: table %s: tuple %v: %w", r.of.Table, t.ID(), err)
			}
			v = string(b)
		}
		r.row = append(r.row, v)
	}
	return t.Err()
}

// add gathers the row that was read.
func (r *rows) add(id msgid.ID) {
	r.ids = append(r.ids, id)
	r.values = append(r.values, r.row...)
}

// replace puts the row that was read in the place of another.
func (r *rows) replace(i int, id msgid.ID) {
	copy(r.values[i*len(r.row):], r.row)
	r.ids[i] = id
}

func (r *rows) clear() {
	clear(r.values)
	r.ids, r.values = r.ids[:0], r.values[:0]
}

// write writes the rows in a transaction that d moves from one position to another; into returns the statement for n rows, with
// the values that all of them share. Rows that are refused together are written one by one, to find the one that is to
// blame. There may be none: the server may take keys for equal that differ as bytes.
func (r *rows) write(ctx context.Context, d *database, from, to string, into func(n int) string, shared ...any) error {
	together := func(tx transaction) error {
		return tx.exec(into(len(r.ids)), append(shared[:len(shared):len(shared)], r.values...)...)
	}
	alone := func(tx transaction) error {
		width := len(r.values) / len(r.ids)
		for i, id := range r.ids {
			row := r.values[i*width : (i+1)*width]
			err := tx.exec(into(1), append(shared[:len(shared):len(shared)], row...)...)
			switch {
			case err != nil && notTheRow(err):
				return err
			case err != nil:
				return &RejectedError{Table: r.of.Table, ID: id, Row: summary(row[width-len(r.of.Columns):]), Err: err}
			}
		}
		return nil
	}
	return d.retry(ctx, func(ctx context.Context) error {
		err := d.advance(ctx, from, to, together)
		if err == nil || notTheRow(err) || errors.Is(err, ErrFenced) {
			return err
		}
		return d.advance(ctx, from, to, alone)
	})
}

// insert returns a statement that writes n rows: to the columns in shared the same values in each, which are
// its first parameters, and to those in each their own.
func insert(table string, shared, each []string, n int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "INSERT INTO %s (%s) VALUES ", table, strings.Join(append(shared[:len(shared):len(shared)], each...), ", "))
	next := len(shared)
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString("(")
		for k := range shared {
			fmt.Fprintf(&b, "$%d, ", k+1)
		}
		for k := range each {
			if k > 0 {
				b.WriteString(", ")
			}
			next++
			fmt.Fprintf(&b, "$%d", next)
		}
		b.WriteString(")")
	}
	return b.String()
}

// appendKey appends one value of a key so that different values differ.
func appendKey(dst []byte, v any) []byte {
	switch v := v.(type) {
	case string:
		return append(binary.AppendUvarint(append(dst, 's'), uint64(len(v))), v...)
	case []byte:
		return append(binary.AppendUvarint(append(dst, 'b'), uint64(len(v))), v...)
	case int64:
		return binary.AppendVarint(append(dst, 'i'), v)
	case uint64:
		return binary.AppendUvarint(append(dst, 'u'), v)
	case float64:
		return binary.BigEndian.AppendUint64(append(dst, 'f'), math.Float64bits(v))
	case time.Time:
		return binary.BigEndian.AppendUint32(binary.AppendVarint(append(dst, 't'), v.Unix()), uint32(v.Nanosecond()))
	}
	text := fmt.Sprintf("%T %v", v, v)
	return append(binary.AppendUvarint(append(dst, 'v'), uint64(len(text))), text...)
}

// maxSummary bounds a row in an error, and maxValue one value of it, in bytes.
const (
	maxSummary = 512
	maxValue   = 80
)

// summary renders a row for an error, shortened.
func summary(row []any) string {
	b := []byte{'('}
	for i, v := range row {
		if i > 0 {
			b = append(b, ", "...)
		}
		if len(b) > maxSummary {
			b = append(b, "…"...)
			break
		}
		switch v := v.(type) {
		case string:
			b = fmt.Appendf(b, "%.*q", maxValue, v)
		case []byte:
			b = fmt.Appendf(b, "%.*q", maxValue, v)
		default:
			text := fmt.Sprint(v)
			b = append(b, text[:min(len(text), maxValue)]...)
		}
	}
	return string(append(b, ')'))
}
