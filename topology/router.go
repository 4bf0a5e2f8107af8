package topology

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/askback/askback/tuple"
)

// AllTargets is the result of Pick for a tuple that goes to every target.
const AllTargets = -1

// A Router picks the targets of the tuples that one source task emits along one edge. Its state is part of the
// task's checkpoint: after SetState it picks as it did before. It belongs to the task's goroutine.
type Router struct {
	edge     *Edge
	grouping Grouping
	n        uint64 // targets
	field    int    // the key field if there is one only, else -1
	source   int    // the index of the source task
	outs     []*Channel

	// Shuffle: the next target. LocalOrShuffle: the next one's index in near.targets. Invariant: below their number.
	next, marked uint32

	// LocalOrShuffle: the preferred targets, and for how many more picks they hold.
	near, markedNear *locality
	left, markedLeft uint64

	// PartialKey: tuples sent to each target. The undo list holds a target once only, with the load it had at Mark, so it
	// is bounded by the targets and not by the output of one Execute. A target is on the list if since[target] is the
	// present epoch; so Mark only increments the epoch.
	loads []uint64
	since []uint64
	epoch uint64
	undo  []undo
}

type undo struct {
	target int
	load   uint64
}

// NewRouter returns the router of an edge at one of the tasks of its source operator, in its first state.
func NewRouter(e *Edge, source *Task) *Router {
	r := &Router{edge: e, grouping: e.Grouping, n: uint64(e.Targets()), field: -1, source: source.Alias.Index}
	for _, c := range source.Out {
		if c.Edge == e {
			r.outs = append(r.outs, c)
		}
	}
	if len(e.Fields) == 1 {
		r.field = e.Fields[0]
	}
	switch {
	case r.grouping == Shuffle && r.n > 1:
		r.next = r.begin(int(r.n))
	case r.grouping == LocalOrShuffle && r.n > 1:
		r.near = r.newLocality(make([]uint64, (r.n+63)/64))
		r.next = r.begin(int(r.n))
	case r.grouping == PartialKey && r.n > 1:
		r.loads = make([]uint64, r.n)
		r.since = make([]uint64, r.n)
		r.undo = make([]undo, 0, r.n)
	case r.grouping == Shuffle, r.grouping == LocalOrShuffle, r.grouping == PartialKey, r.grouping == GroupBy && r.n == 1, r.grouping == Keyed && r.n == 1:
		r.grouping = Global // one target: no choice
	}
	r.Mark()
	return r
}

// Outs returns the channel to each target.
func (r *Router) Outs() []*Channel { return r.outs }

// Pick returns the index of the target of a row, or AllTargets. The row must have all the fields of its stream.
// It fails, with ErrTarget, only on a Direct, a Keyed or a Custom edge. It does not allocate.
func (r *Router) Pick(row *tuple.Row) (target int, err error) {
	switch r.grouping {
	case Shuffle:
		target = int(r.next)
		if r.next++; uint64(r.next) == r.n {
			r.next = 0
		}
		return target, nil
	case LocalOrShuffle:
		return r.nearest(), nil
	case GroupBy:
		if r.field >= 0 { // the usual case, saving the call of hash
			return int(reduce(row.Hash(r.field), r.n)), nil
		}
		return int(reduce(r.hash(row), r.n)), nil
	case Keyed:
		return r.keyed(row)
	case PartialKey:
		return r.lighter(r.hash(row)), nil
	case All:
		return AllTargets, nil
	case Direct:
		return r.direct(row)
	case Custom:
		return r.custom(row)
	}
	return 0, nil // Global
}

// hash returns the hash of the row's key.
func (r *Router) hash(row *tuple.Row) uint64 {
	if r.field >= 0 {
		return row.Hash(r.field)
	}
	// The length keeps ("a", "bc") from ("ab", "c"); the mixing of the sum so far, ("a", "b") from ("b", "a").
	var h uint64
	for _, i := range r.edge.Fields {
		content := row.Content(i)
		h = mix(h^uint64(len(content))) ^ tuple.Hash(content)
	}
	return mix(h)
}

// lighter returns the one of the key's two candidates that was sent less, and counts the tuple.
func (r *Router) lighter(h uint64) int {
	a := reduce(h, r.n)
	b := a + 1 + reduce(mix(h), r.n-1) // another one than a
	if b >= r.n {
		b -= r.n
	}
	if r.loads[b] < r.loads[a] {
		a = b
	}
	if r.since[a] != r.epoch {
		r.since[a] = r.epoch
		r.undo = append(r.undo, undo{int(a), r.loads[a]})
	}
	r.loads[a]++
	return int(a)
}

func (r *Router) keyed(row *tuple.Row) (int, error) {
	h, ok := row.KeyHash()
	if !ok {
		return 0, fmt.Errorf("%w: stream %q is read by key by %s: give the hash of the key with Key", ErrTarget, r.edge.Stream, r.edge.To.Name)
	}
	return int(reduce(h, r.n)), nil
}

func (r *Router) direct(row *tuple.Row) (int, error) {
	task, ok := row.Direct()
	if !ok {
		return 0, fmt.Errorf("%w: stream %q is read directly by %s: name a task from 0 to %d with To", ErrTarget, r.edge.Stream, r.edge.To.Name, r.n-1)
	}
	if uint64(task) >= r.n { // a negative one is too large as well
		return 0, fmt.Errorf("%w: stream %q: To(%d): %s has tasks 0 to %d", ErrTarget, r.edge.Stream, task, r.edge.To.Name, r.n-1)
	}
	return task, nil
}

func (r *Router) custom(row *tuple.Row) (int, error) {
	task := r.edge.Pick(row, int(r.n))
	if uint64(task) >= r.n {
		return 0, fmt.Errorf("%w: stream %q: grouping %s picked %d: %s has tasks 0 to %d", ErrTarget, r.edge.Stream, r.edge.Name, task, r.edge.To.Name, r.n-1)
	}
	return task, nil
}

// Stateful reports whether Pick depends on earlier picks: only then Mark and Rollback have an effect.
func (r *Router) Stateful() bool {
	return r.grouping == Shuffle || r.grouping == LocalOrShuffle || r.grouping == PartialKey
}

// Mark remembers the present state for Rollback.
func (r *Router) Mark() {
	r.marked, r.markedNear, r.markedLeft = r.next, r.near, r.left
	r.undo = r.undo[:0]
	r.epoch++
}

// Rollback returns to the state of the last Mark, SetState or NewRouter.
func (r *Router) Rollback() {
	r.next, r.near, r.left = r.marked, r.markedNear, r.markedLeft
	for _, u := range r.undo {
		r.loads[u.target] = u.load
	}
	r.Mark()
}

// AppendState appends the state to dst: no bytes for a grouping without state.
func (r *Router) AppendState(dst []byte) []byte {
	numbers := r.loads
	switch r.grouping {
	case Shuffle:
		return binary.AppendUvarint(dst, uint64(r.next))
	case LocalOrShuffle:
		dst = binary.AppendUvarint(dst, uint64(r.next))
		dst = binary.AppendUvarint(dst, r.left)
		numbers = r.near.set
	}
	for _, x := range numbers {
		dst = binary.AppendUvarint(dst, x)
	}
	return dst
}

// SetState takes the state that AppendState of the same edge and source wrote. On an error, which is an ErrState,
// the router is unchanged.
func (r *Router) SetState(b []byte) error {
	want := len(r.loads)
	switch r.grouping {
	case Shuffle:
		want = 1
	case LocalOrShuffle:
		want = 2 + len(r.near.set)
	}
	numbers := make([]uint64, want)
	for i := range numbers {
		x, size := binary.Uvarint(b)
		if size <= 0 {
			return fmt.Errorf("%w: %s to %s: %d numbers, want %d", ErrState, r.edge.Stream, r.edge.To.Name, i, want)
		}
		numbers[i], b = x, b[size:]
	}
	if len(b) > 0 {
		return fmt.Errorf("%w: %s to %s: %d bytes too many", ErrState, r.edge.Stream, r.edge.To.Name, len(b))
	}
	switch r.grouping {
	case Shuffle:
		if numbers[0] >= r.n {
			return r.badNext(numbers[0], r.n)
		}
		r.next = uint32(numbers[0])
	case LocalOrShuffle:
		near := r.newLocality(numbers[2:])
		if n := uint64(len(near.targets)); numbers[0] >= n {
			return r.badNext(numbers[0], n)
		}
		r.near, r.next, r.left = near, uint32(numbers[0]), numbers[1]
	}
	copy(r.loads, numbers)
	r.Mark()
	return nil
}

func (r *Router) badNext(next, of uint64) error {
	return fmt.Errorf("%w: %s to %s: next target is %d of %d", ErrState, r.edge.Stream, r.edge.To.Name, next, of)
}

// reduce maps a hash to 0 … n-1, evenly, by its high bits and without a division.
func reduce(h, n uint64) uint64 {
	hi, _ := bits.Mul64(h, n)
	return hi
}

// mix is a bijection in which each bit of x changes half of the bits (the finalizer of SplitMix64).
func mix(x uint64) uint64 {
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	return x ^ x>>31
}
