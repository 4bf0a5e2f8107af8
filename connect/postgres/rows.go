package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// rows are what a task has gathered for one transaction.
type rows struct {
	of     *Config
	ids    []msgid.ID
	values []any // row after row, all of one length
	fields []int // which field of a tuple goes to each column
	row    []any // of the tuple that was read last
}

// read makes row the values of a tuple, behind what comes before them.
func (r *rows) read(t tuple.Tuple, before ...any) error {
	if r.fields == nil {
		fields := make([]int, len(r.of.Columns))
		for i, col := range r.of.Columns {
			if fields[i] = t.Fields().Index(col.Field); fields[i] < 0 {
				return fmt.Errorf("postgres: table %s: column %q takes field %q, and there is none in (%v)", r.of.Table, col.Name, col.Field, t.Fields())
			}
		}
		r.fields = fields
	}
	r.row = append(r.row[:0], before...)
	for _, f := range r.fields {
		v, err := column(t.Any(f))
		if err != nil {
			return fmt.Errorf("postgres: table %s: tuple %v: %w", r.of.Table, t.ID(), err)
		}
		r.row = append(r.row, v)
	}
	return t.Err()
}

// column returns a field's value as a driver takes it: lists and maps are JSON.
func column(v any) (any, error) {
	switch v.(type) {
	case []any, map[string]any:
		b, err := json.Marshal(v)
		return string(b), err
	}
	return v, nil
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

// write writes the rows in a transaction that d moves from one position to another; into says how for n rows, with the
// values that all of them share. Rows that are refused together are written one by one, to find out which is to blame.
// There may be none: the server may take keys for equal that differ as bytes.
func (r *rows) write(d *database, from, to string, into func(n int) string, shared ...any) error {
	together := func(tx transaction) error {
		return tx.exec(into(len(r.ids)), append(shared[:len(shared):len(shared)], r.values...)...)
	}
	alone := func(tx transaction) error {
		width := len(r.values) / len(r.ids)
		for i, id := range r.ids {
			err := tx.exec(into(1), append(shared[:len(shared):len(shared)], r.values[i*width:(i+1)*width]...)...)
			switch {
			case err != nil && again(err):
				return err
			case err != nil:
				return &RejectedError{Table: r.of.Table, ID: id, Err: err}
			}
		}
		return nil
	}
	return d.retry(func(ctx context.Context) error {
		err := d.advance(ctx, from, to, together)
		if err == nil || again(err) || errors.Is(err, ErrFenced) {
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
