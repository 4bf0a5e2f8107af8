package state

import "math/bits"

// An index finds the place of an entry by the hash of its key. It is an extendible hash table: a directory,
// chosen by the hash's top bits, of small segments that split one at a time. A single large table was rejected:
// doubling it stalls the task for tens of milliseconds at a few million keys, a split for a few microseconds.
type index struct {
	dir   []*segment
	shift uint8 // the directory is addressed by hash >> shift
}

const (
	segmentSlots = 1024
	segmentFull  = segmentSlots * 3 / 4
	// maxDepth keeps the directory's bits apart from the bits that choose the slot in a segment.
	maxDepth = 22
)

// A segment is an open-addressing table with linear probing. A slot is the top 32 bits of the hash above the
// entry's place; zero is empty, for no place is zero.
type segment struct {
	slots [segmentSlots]uint64
	used  int
	depth uint8 // how many top bits of the hash its keys share
}

// newIndex returns an index that need not split before it holds as many entries as are expected.
func newIndex(expected int) index {
	if expected <= segmentFull {
		s := new(segment)
		return index{dir: []*segment{s, s}, shift: 63}
	}
	// Hashes spread with a standard deviation of about 1/30 of a segment: at 7/8 few segments get too many.
	depth := min(uint8(bits.Len(uint(expected/(segmentFull*7/8)))), maxDepth)
	segments := make([]segment, 1<<depth)
	x := index{dir: make([]*segment, 1<<depth), shift: 64 - depth}
	for i := range segments {
		segments[i].depth = depth
		x.dir[i] = &segments[i]
	}
	return x
}

func tagOf(hash uint64) uint32 { return uint32(hash >> 32) }

func slotOf(hash uint64, at place) uint64 { return uint64(tagOf(hash))<<32 | uint64(at) }

func (x *index) insert(slot uint64) {
	s := x.dir[slot>>(x.shift&63)]
	for s.used >= segmentFull && s.depth < maxDepth {
		x.split(s, slot)
		s = x.dir[slot>>(x.shift&63)]
	}
	s.put(slot)
}

// tagged reports whether some entry's hash has the same top 32 bits.
func (x *index) tagged(slot uint64) bool {
	s, tag := x.dir[slot>>(x.shift&63)], tagOf(slot)
	for i := tag; ; i++ {
		switch other := s.slots[i%segmentSlots]; {
		case other == 0:
			return false
		case tagOf(other) == tag:
			return true
		}
	}
}

// grouped returns slots in such an order that those of one segment are together.
func (x *index) grouped(slots []uint64) []uint64 {
	ends := make([]int, len(x.dir)+1) // at first the beginnings, one further on
	for _, v := range slots {
		ends[v>>(x.shift&63)+1]++
	}
	for i := range x.dir {
		ends[i+1] += ends[i]
	}
	out := make([]uint64, len(slots))
	for _, v := range slots {
		end := &ends[v>>(x.shift&63)]
		out[*end] = v
		*end++
	}
	return out
}

// move records that an entry has moved.
func (x *index) move(hash uint64, from, to place) {
	s, i := x.slot(hash, from)
	s.slots[i] = slotOf(hash, to)
}

// remove forgets an entry. It closes the gap rather than marking it, so that deletions never slow a search.
func (x *index) remove(hash uint64, at place) {
	s, gap := x.slot(hash, at)
	for i := (gap + 1) % segmentSlots; s.slots[i] != 0; i = (i + 1) % segmentSlots {
		home := uint32(s.slots[i]>>32) % segmentSlots
		if (i-home)%segmentSlots >= (i-gap)%segmentSlots {
			s.slots[gap] = s.slots[i]
			gap = i
		}
	}
	s.slots[gap] = 0
	s.used--
}

func (x *index) slot(hash uint64, at place) (*segment, uint32) {
	s := x.dir[hash>>(x.shift&63)]
	want := slotOf(hash, at)
	for i, n := tagOf(hash)%segmentSlots, 0; n < segmentSlots; i, n = (i+1)%segmentSlots, n+1 {
		if s.slots[i] == want {
			return s, i
		}
	}
	panic("state: an entry is missing from its index")
}

// split replaces the segment that holds hash by two, and doubles the directory when it must.
func (x *index) split(old *segment, hash uint64) {
	if bits := 64 - x.shift; old.depth == bits {
		dir := make([]*segment, 2*len(x.dir))
		for i, s := range x.dir {
			dir[2*i], dir[2*i+1] = s, s
		}
		x.dir, x.shift = dir, x.shift-1
	}
	var half [2]*segment
	for i := range half {
		half[i] = &segment{depth: old.depth + 1}
	}
	for _, v := range old.slots {
		if v != 0 {
			half[v>>(63-old.depth)&1].put(v)
		}
	}
	n := len(x.dir) >> old.depth // how many directory cells share the old segment
	first := int(hash>>(x.shift&63)) &^ (n - 1)
	for i := range n {
		x.dir[first+i] = half[2*i/n]
	}
}

func (s *segment) put(v uint64) {
	if s.used >= segmentSlots-1 {
		panic("state: a map cannot hold more entries")
	}
	i := uint32(v>>32) % segmentSlots
	for s.slots[i] != 0 {
		i = (i + 1) % segmentSlots
	}
	s.slots[i] = v
	s.used++
}

func (x *index) size() int {
	n := 8 * len(x.dir)
	var last *segment
	for _, s := range x.dir {
		if s != last {
			n += 8*segmentSlots + 16
			last = s
		}
	}
	return n
}
