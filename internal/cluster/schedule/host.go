package schedule

import (
	"cmp"
	"slices"
)

// A host is a supervisor while slots are given away.
type host struct {
	name  string
	room  Resources
	tags  []string
	gone  bool
	slots []int     // the numbers of its slots, ascending
	free  []int     // those that are free, ascending
	used  Resources // resources that its workers need
	ours  int       // workers of the topology in hand
}

// hosts are all supervisors, by name.
type hosts []*host

func newHosts(supervisors []Supervisor) hosts {
	var all hosts
	for _, s := range supervisors {
		slots := slices.Sorted(slices.Values(s.Slots))
		slots = slices.Compact(slots)
		all = append(all, &host{name: s.Name, room: s.Room, tags: s.Tags, gone: s.Gone, slots: slots, free: slices.Clone(slots)})
	}
	slices.SortFunc(all, func(a, b *host) int { return cmp.Compare(a.name, b.name) })
	return all
}

// named returns the host of that name. A worker may run on one that is no longer registered: that host has no room.
func (hs *hosts) named(name string) *host {
	i, found := slices.BinarySearchFunc(*hs, name, func(h *host, name string) int { return cmp.Compare(h.name, name) })
	if !found {
		*hs = slices.Insert(*hs, i, &host{name: name, gone: true})
	}
	return (*hs)[i]
}

// serves reports whether the host may be given work that asks for these tags.
func (h *host) serves(tags []string) bool {
	if h.gone {
		return false
	}
	for _, tag := range tags {
		if !slices.Contains(h.tags, tag) {
			return false
		}
	}
	return true
}

// fits reports whether the host has room for that much more. A task without demands fits even where others were given
// too much.
func (h *host) fits(need Resources) bool {
	return (h.room.CPU == 0 || need.CPU == 0 || h.used.CPU+need.CPU <= h.room.CPU) &&
		(h.room.Memory == 0 || need.Memory == 0 || h.used.Memory+need.Memory <= h.room.Memory)
}

// take marks a slot as used, whether or not the supervisor still offers it.
func (h *host) take(slot int) {
	if i, found := slices.BinarySearch(h.free, slot); found {
		h.free = slices.Delete(h.free, i, i+1)
	}
}

// giveBack undoes take.
func (h *host) giveBack(slot int) {
	if !slices.Contains(h.slots, slot) {
		return
	}
	if i, found := slices.BinarySearch(h.free, slot); !found {
		h.free = slices.Insert(h.free, i, slot)
	}
}
