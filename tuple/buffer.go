package tuple

// A Buffer holds complete rows of one stream until they are emitted. It keeps the memory of what it has held; the zero value
// is empty.
type Buffer struct {
	bytes  []byte
	ends   []int    // of each row
	at     []uint32 // where each value of each row but its first begins, counted from the row's begin
	routes []route  // of each row, or none if no row has one
}

// A route is where a row was directed by its emitter.
type route struct {
	task          int
	key           uint64
	direct, keyed bool
}

// Len returns the number of rows.
func (b *Buffer) Len() int { return len(b.ends) }

// Add copies a row, which must be complete, and have values, as many as those before it.
func (b *Buffer) Add(r *Row) {
	b.bytes = append(b.bytes, r.buf...)
	if len(r.at) > 1 {
		b.at = append(b.at, r.at[1:]...)
	}
	b.ends = append(b.ends, len(b.bytes))
	if r.direct || r.keyed || len(b.routes) > 0 {
		for len(b.routes) < len(b.ends)-1 {
			b.routes = append(b.routes, route{})
		}
		b.routes = append(b.routes, route{r.task, r.key, r.direct, r.keyed})
	}
}

// Emit emits the rows on a stream with as many fields, in order, and returns the first error.
func (b *Buffer) Emit(out Emitter) error {
	start, at, more := 0, b.at, len(b.at)/max(1, len(b.ends))
	for i, end := range b.ends {
		r := out.Row()
		if r.n = 1 + more; r.n == len(r.at) {
			r.at[0] = uint32(r.head)
			r.buf = append(r.buf[:0], b.bytes[start:end]...)
			if more > 0 {
				copy(r.at[1:], at[:more])
				at = at[more:]
			}
		}
		start = end
		if len(b.routes) > 0 {
			to := b.routes[i]
			r.task, r.key, r.direct, r.keyed = to.task, to.key, to.direct, to.keyed
		}
		if err := r.Emit(); err != nil {
			return err
		}
	}
	return nil
}

// Reset forgets the rows.
func (b *Buffer) Reset() {
	b.bytes, b.ends, b.at, b.routes = b.bytes[:0], b.ends[:0], b.at[:0], b.routes[:0]
}
