package schedule

import (
	"cmp"
	"slices"

	"github.com/askback/askback/msgid"
)

// A job is a topology while its tasks are placed. A task is known by its index in Topology.Tasks.
type job struct {
	Topology
	hosts  *hosts
	limit  int                 // of workers
	number map[msgid.Alias]int // of each task
	need   []Resources         // of each task
	graph  *graph              // made when it is first asked for
	held   []bool              // of each task: whether a worker has claimed it

	workers []*worker // that it has, or is given
	lost    []part    // the tasks of each worker that it lost
	was     []*worker // while it is rebalanced: its workers before

	waiting []int  // tasks that run nowhere
	why     string // they wait
	refused string // why the rebalancing was
}

// A part is the tasks of one worker.
type part struct {
	tasks []int // ascending
	need  Resources
	from  *host // where they were lost: another host is better; nil if nowhere
}

// A worker is a part in its place.
type worker struct {
	part
	host *host
	slot int
}

func newJob(t Topology, all *hosts) *job {
	j := &job{Topology: t, hosts: all, limit: max(1, t.Workers), number: make(map[msgid.Alias]int, len(t.Tasks))}
	for i, alias := range t.Tasks {
		j.number[alias] = i
		j.need = append(j.need, t.Needs[alias.Operator])
	}
	j.held = make([]bool, len(t.Tasks))
	return j
}

// claim returns the part that a present worker has: those of its tasks that still exist and that no other has.
func (j *job) claim(aliases []msgid.Alias) part {
	var tasks []int
	for _, alias := range aliases {
		if t, ok := j.number[alias]; ok && !j.held[t] {
			j.held[t] = true
			tasks = append(tasks, t)
		}
	}
	slices.Sort(tasks)
	return j.part(tasks)
}

func (j *job) part(tasks []int) part {
	p := part{tasks: tasks}
	for _, t := range tasks {
		p.need = p.need.plus(j.need[t])
	}
	return p
}

// inHand does something while the hosts know how many workers of this topology they have.
func (j *job) inHand(do func()) {
	for _, w := range j.workers {
		w.host.ours++
	}
	do()
	for _, w := range j.workers {
		w.host.ours--
	}
}

// mend places the missing tasks, and moves none. Tasks that find no place wait, and the others run on.
func (j *job) mend() {
	if len(j.workers) == 0 {
		j.start()
		return
	}
	j.waiting = j.placeMissing()
	if len(j.waiting) > 0 {
		j.why = j.reason(j.waiting[0])
	}
	j.lost = nil
}

// start places all tasks or none: half a topology takes room and completes nothing.
func (j *job) start() {
	j.waiting, j.why = nil, ""
	if len(j.lost) == 0 || !j.try(j.placeMissing) {
		j.placeAfresh()
	}
	j.lost = nil
}

// rebalance places all tasks as if they ran nowhere, but prefers their present places. If there is no room for the new
// request, all stays as it is.
func (j *job) rebalance() {
	j.Rebalance = false
	j.was = j.workers
	j.removeAll()
	if j.placeAfresh() {
		j.was, j.lost = nil, nil
		return
	}
	j.refused = "topology " + j.Name + " is not rebalanced: " + j.why
	for _, w := range j.was {
		j.put(w.part, w.host, w.slot)
		w.host.ours++
	}
	j.was = nil
	j.mend()
}

// placeAfresh cuts the topology into parts with little traffic between them. Where that does not fit, each task is
// placed alone, the hungriest first.
func (j *job) placeAfresh() bool {
	inParts := func() []int { return j.place(j.cut(j.missing(), j.limit)) }
	alone := func() []int { return j.placeEach(j.missing()) }
	return j.try(inParts) || j.try(alone)
}

// try reports whether all tasks of a topology without workers find a place. If not, none has one.
func (j *job) try(place func() (waiting []int)) bool {
	j.waiting, j.why = place(), ""
	if len(j.waiting) == 0 {
		return true
	}
	j.why = j.reason(j.waiting[0])
	j.removeAll()
	j.waiting = j.missing()
	return false
}

// placeMissing places each lost worker whole, and cuts the other missing tasks into as many parts as there may be
// workers more.
func (j *job) placeMissing() (waiting []int) {
	lost := map[int]bool{}
	for _, p := range j.lost {
		for _, t := range p.tasks {
			lost[t] = true
		}
	}
	rest := slices.DeleteFunc(j.missing(), func(t int) bool { return lost[t] })
	parts := slices.Clone(j.lost)
	more := j.limit - len(j.workers) - len(j.lost)
	if more > 0 {
		parts, rest = append(parts, j.cut(rest, more)...), nil
	}
	return slices.Sorted(slices.Values(append(j.place(parts), j.placeEach(rest)...)))
}

// place gives each part a worker of its own, the hungriest first. A part that fits nowhere whole is split up.
func (j *job) place(parts []part) (waiting []int) {
	slices.SortStableFunc(parts, func(a, b part) int { return hungrier(a.need, b.need) })
	var loose []int
	for _, p := range parts {
		if !j.open(p) {
			loose = append(loose, p.tasks...)
		}
	}
	return j.placeEach(loose)
}

// placeEach places each task alone, the hungriest first: in a new worker as long as there may be more, else in the
// one that has the fewest tasks.
func (j *job) placeEach(tasks []int) (waiting []int) {
	slices.Sort(tasks)
	slices.SortStableFunc(tasks, func(a, b int) int { return hungrier(j.need[a], j.need[b]) })
	for _, t := range tasks {
		if !j.open(j.part([]int{t})) && !j.join(t) {
			waiting = append(waiting, t)
		}
	}
	slices.Sort(waiting)
	return waiting
}

// hungrier orders needs, the greater first.
func hungrier(a, b Resources) int {
	return cmp.Or(cmp.Compare(b.Memory, a.Memory), cmp.Compare(b.CPU, a.CPU))
}

// open gives a part a new worker, if there may be one more and a free slot has room for it.
func (j *job) open(p part) bool {
	if len(j.workers) >= j.limit {
		return false
	}
	h := j.bestHost(p)
	if h == nil {
		return false
	}
	j.put(p, h, j.bestSlot(p, h))
	h.ours++
	return true
}

// bestHost returns the host for a new worker: one that did not just lose it, then that with the fewest workers of
// this topology, then with the most free slots, then where most of its tasks ran before, then where few others did,
// then the first by name. It is nil if none has room.
func (j *job) bestHost(p part) (best *host) {
	var least [5]int
	for _, h := range *j.hosts {
		if len(h.free) == 0 || !h.serves(j.Tags) || !h.fits(p.need) {
			continue
		}
		mine, all := j.ranOn(p, h)
		cost := [...]int{0, h.ours, -len(h.free), -mine, all}
		if h == p.from {
			cost[0] = 1
		}
		if best == nil || slices.Compare(cost[:], least[:]) < 0 {
			best, least = h, cost
		}
	}
	return best
}

// bestSlot returns the free slot of a host where most of the part's tasks ran before, else one where no others did.
func (j *job) bestSlot(p part, h *host) (best int) {
	var least [2]int
	for i, slot := range h.free {
		cost := [2]int{}
		for _, w := range j.was {
			if w.host == h && w.slot == slot {
				cost = [2]int{-common(p.tasks, w.tasks), 1}
			}
		}
		if i == 0 || slices.Compare(cost[:], least[:]) < 0 {
			best, least = slot, cost
		}
	}
	return best
}

// ranOn returns how many tasks ran on a host before the rebalancing: of the part, and in all.
func (j *job) ranOn(p part, h *host) (mine, all int) {
	for _, w := range j.was {
		if w.host == h {
			mine += common(p.tasks, w.tasks)
			all += len(w.tasks)
		}
	}
	return mine, all
}

// common returns how many elements two ascending lists have in common.
func common(a, b []int) (n int) {
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0] < b[0]:
			a = a[1:]
		case b[0] < a[0]:
			b = b[1:]
		default:
			a, b, n = a[1:], b[1:], n+1
		}
	}
	return n
}

// join adds a task to the worker with the fewest tasks that has room, then to the one it exchanges most with.
func (j *job) join(t int) bool {
	var best *worker
	var least [2]int64
	for _, w := range j.workers {
		if !w.host.serves(j.Tags) || !w.host.fits(j.need[t]) {
			continue
		}
		cost := [2]int64{int64(len(w.tasks)), -j.traffic().between(t, w.tasks)}
		if best == nil || slices.Compare(cost[:], least[:]) < 0 {
			best, least = w, cost
		}
	}
	if best == nil {
		return false
	}
	i, _ := slices.BinarySearch(best.tasks, t)
	best.tasks = slices.Insert(slices.Clone(best.tasks), i, t) // j.lost may share the list
	best.need = best.need.plus(j.need[t])
	best.host.used = best.host.used.plus(j.need[t])
	return true
}

// put runs a part in a slot.
func (j *job) put(p part, h *host, slot int) {
	h.take(slot)
	h.used = h.used.plus(p.need)
	j.workers = append(j.workers, &worker{part: p, host: h, slot: slot})
}

// removeAll takes all workers from their slots.
func (j *job) removeAll() {
	for _, w := range j.workers {
		w.host.giveBack(w.slot)
		w.host.used = w.host.used.minus(w.need)
		w.host.ours--
	}
	j.workers = nil
}

// missing returns the tasks that no worker has.
func (j *job) missing() (tasks []int) {
	has := make([]bool, len(j.Tasks))
	for _, w := range j.workers {
		for _, t := range w.tasks {
			has[t] = true
		}
	}
	for t := range has {
		if !has[t] {
			tasks = append(tasks, t)
		}
	}
	return tasks
}

// assigned returns the topology's workers, by slot.
func (j *job) assigned() (workers []Worker) {
	for _, w := range j.workers {
		workers = append(workers, Worker{Topology: j.Name, Slot: Slot{w.host.name, w.slot}, Tasks: j.aliases(w.tasks)})
	}
	slices.SortFunc(workers, func(a, b Worker) int { return a.Slot.Compare(b.Slot) })
	return workers
}

func (j *job) aliases(tasks []int) (aliases []msgid.Alias) {
	for _, t := range tasks {
		aliases = append(aliases, j.Tasks[t])
	}
	return aliases
}
