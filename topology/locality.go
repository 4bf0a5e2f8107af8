package topology

import (
	"slices"
)

// A locality is the set of targets that a LocalOrShuffle prefers. It is not changed once it is made.
type locality struct {
	set     []uint64 // target i is local: bit i%64 of word i/64
	targets []int    // the local ones, or all if none is
}

func (r *Router) newLocality(set []uint64) *locality {
	l := &locality{set: slices.Clone(set)}
	for i := range int(r.n) {
		if set[i/64]>>(i%64)&1 != 0 {
			l.targets = append(l.targets, i)
		}
	}
	if len(l.targets) == 0 {
		for i := range int(r.n) {
			l.targets = append(l.targets, i)
		}
	}
	return l
}

// nearest returns the next of the preferred targets.
func (r *Router) nearest() int {
	target := r.near.targets[r.next]
	if r.next++; int(r.next) == len(r.near.targets) {
		r.next = 0
	}
	if r.left > 0 {
		r.left--
	}
	return target
}

// Asks reports whether Prefer is to be called before the next Pick. The router's state alone determines after how many
// picks, so a replay asks at the same points.
func (r *Router) Asks() bool { return r.grouping == LocalOrShuffle && r.left == 0 }

// Prefer settles for the next picks which targets are local: target i is bit i%64 of word i/64. If none is, all are dealt
// to. A replay must call it with the same targets, since the placement of tasks does not follow from a task's input.
func (r *Router) Prefer(set []uint64, picks uint64) {
	if !slices.Equal(set, r.near.set) {
		r.near = r.newLocality(set)
		r.next = r.begin(len(r.near.targets))
	}
	r.left = picks
}

// begin returns the first target. Parallel sources begin at different targets, so that they do not all send to the same
// one.
func (r *Router) begin(targets int) uint32 { return uint32(r.source % targets) }
