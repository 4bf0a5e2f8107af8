package spout

import "slices"

// Slice returns a source that emits each row as a tuple of one field. Task j of k emits the rows j, j+k,
// j+2k … A restored process must give the same rows.
func Slice[T any](rows ...T) *Generator {
	rows = slices.Clone(rows)
	return limited(len(rows), func(i int64, out Emitter) error { return out.Emit(rows[i]) })
}

// Rows returns a source that emits each row as a tuple of its values. Tasks share the rows as with Slice. The
// values must not be changed while the topology runs.
func Rows(rows [][]any) *Generator {
	rows = slices.Clone(rows)
	return limited(len(rows), func(i int64, out Emitter) error { return out.Emit(rows[i]...) })
}

// limited is Generate for a number of calls that may be zero.
func limited(n int, f func(i int64, out Emitter) error) *Generator {
	return &Generator{end: int64(n), emit: f}
}
