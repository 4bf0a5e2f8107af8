package task

import (
	"slices"
	"sort"

	"github.com/askback/askback/internal/recovery"
)

// pending is what a spout task has emitted and not heard of as processed: enough to emit it again.
//
// Roots are counted, so those that are pending lie in a window of numbers. One that is still there when the window is
// full, because something of its tree was lost, is moved to the late ones, so that it does not hold up the others.
type pending struct {
	most    int           // tuples
	bound   int           // bytes
	timeout recovery.Tick // after which a tuple is emitted again
	base    uint64        // a root is base + its number

	window []pendingTuple // a ring of a power of two, of the numbers from first to next
	first  uint32
	next   uint32
	late   []pendingTuple // by number, all of them before first
	gone   int            // of late, that are done
	open   int            // tuples that are not done
	bytes  int            // of these

	items   []byte  // where the bytes of the next tuple go
	ports   []int32 // where its channels go
	mark    int     // where those of the running one begin
	emitted uint64  // tuples of the spout, each once

	// Polls are the calls of the spout, from the oldest of which tuples are not done: when all of that are, the spout
	// need never go back to before it.
	polls    []poll
	front    int    // polls before it are done with
	poll     uint64 // the number of polls[0]
	position []byte // where the spout goes on after a restart

	ended bool // the spout's input has
	empty bool // and all of it is processed
	safe  bool // and that is stored
}

// A pendingTuple is a tuple that is not known to be processed.
type pendingTuple struct {
	number uint32 // of its root
	done   bool
	item   []byte
	ports  []int32 // the channels that it went to
	nth    uint64  // which of the spout's tuples it is
	poll   uint64  // in which the spout emitted it
	birth  int64
	at     recovery.Tick
}

type poll struct {
	open     int    // tuples that are not done
	position []byte // where the spout stood after it
}

const (
	itemChunk = 64 << 10 // bytes allocated at once
	portChunk = 4 << 10  // channels allocated at once
	maxPolls  = 1 << 14
)

func newPending(most, bound int, timeout recovery.Tick, base uint64) *pending {
	return &pending{most: most, bound: bound, timeout: timeout, base: base, window: make([]pendingTuple, 256)}
}

// full reports whether the spout must wait.
func (p *pending) full() bool { return p.open >= p.most || p.bytes >= p.bound }

// begin begins a tree and returns its root.
func (p *pending) begin() uint64 {
	p.mark = len(p.ports)
	return p.base + uint64(p.next)
}

// went notes a channel that the running tuple goes to.
func (p *pending) went(port int) {
	if len(p.ports) == cap(p.ports) {
		some := p.ports[p.mark:]
		p.ports, p.mark = append(make([]int32, 0, max(portChunk, 2*len(some))), some...), 0
	}
	p.ports = append(p.ports, int32(port))
}

// add keeps the running tuple, which the spout has just emitted.
func (p *pending) add(item []byte, birth int64, now recovery.Tick) {
	if len(item) > cap(p.items)-len(p.items) {
		p.items = make([]byte, 0, max(itemChunk, len(item)))
	}
	p.items = append(p.items, item...)
	p.emitted++
	x := pendingTuple{item: p.items[len(p.items)-len(item):], nth: p.emitted, poll: p.poll + uint64(len(p.polls)), birth: birth}
	if p.manyPolls() { // polled will add none
		x.poll--
		p.polls[len(p.polls)-1].open++
	}
	p.keep(x, now)
}

// keep puts a tuple, which has just gone out as the running one, at the window's end.
func (p *pending) keep(x pendingTuple, now recovery.Tick) {
	if int(p.next-p.first) == len(p.window) {
		p.makeRoom()
	}
	x.number, x.ports, x.at = p.next, p.ports[p.mark:], now
	*p.slot(p.next) = x
	p.next++
	p.open++
	p.bytes += len(x.item)
}

func (p *pending) slot(number uint32) *pendingTuple { return &p.window[int(number)&(len(p.window)-1)] }

// makeRoom makes the window longer, or, if it is long enough, moves its oldest tuple to the late ones.
func (p *pending) makeRoom() {
	if len(p.window) < 2*p.most {
		longer := make([]pendingTuple, 2*len(p.window))
		for n := p.first; n != p.next; n++ {
			longer[int(n)&(len(longer)-1)] = *p.slot(n)
		}
		p.window = longer
		return
	}
	p.late = append(p.late, *p.slot(p.first)) // what is done at the beginning is gone already
	p.dropFirst()
	p.trim()
}

func (p *pending) dropFirst() {
	*p.slot(p.first) = pendingTuple{}
	p.first++
}

// trim lets go of what is done and the oldest.
func (p *pending) trim() {
	for p.first != p.next && p.slot(p.first).done {
		p.dropFirst()
	}
	for len(p.late) > 0 && p.late[0].done {
		p.late, p.gone = p.late[1:], p.gone-1
	}
	if 2*p.gone > len(p.late) {
		p.late, p.gone = slices.DeleteFunc(p.late, func(x pendingTuple) bool { return x.done }), 0
	}
}

// complete notes that a root's tree is processed. It returns which of the spout's tuples that was; false if none that
// is pending, such as one that was emitted again meanwhile.
func (p *pending) complete(root uint64) (nth uint64, ok bool) {
	number := uint32(root)
	if root != p.base+uint64(number) {
		return 0, false // of another incarnation
	}
	var x *pendingTuple
	switch inWindow := number-p.first < p.next-p.first; {
	case inWindow && !p.slot(number).done:
		x = p.slot(number)
	case inWindow:
		return 0, false
	default:
		// Numbers begin anew after 2^32 of them, so what counts is how far they are behind.
		i := sort.Search(len(p.late), func(i int) bool { return p.next-p.late[i].number <= p.next-number })
		if i == len(p.late) || p.late[i].number != number || p.late[i].done {
			return 0, false
		}
		x = &p.late[i]
		p.gone++
	}
	nth = x.nth
	p.polls[x.poll-p.poll].open--
	p.finish(x)
	for ; p.front < len(p.polls) && p.polls[p.front].open == 0; p.front++ {
		p.position = p.polls[p.front].position
	}
	if 2*p.front >= len(p.polls) {
		p.polls = slices.Delete(p.polls, 0, p.front)
		p.poll += uint64(p.front)
		p.front = 0
	}
	return nth, true
}

func (p *pending) manyPolls() bool { return len(p.polls)-p.front >= maxPolls }

// finish takes a tuple out of the account.
func (p *pending) finish(x *pendingTuple) {
	p.open--
	p.bytes -= len(x.item)
	*x = pendingTuple{number: x.number, done: true}
	p.trim()
}

// polled notes that the spout was called, how many tuples it emitted, and where it stands now.
func (p *pending) polled(tuples int, position []byte) {
	switch last := len(p.polls) - 1; {
	case tuples > 0 && !p.manyPolls():
		p.polls = append(p.polls, poll{tuples, position})
	case last < p.front:
		p.position = position
	default:
		p.polls[last].position = position
	}
}

// oldest returns the tuple that has been pending for longest, or nil.
func (p *pending) oldest() *pendingTuple {
	switch {
	case len(p.late) > 0:
		return &p.late[0]
	case p.first != p.next:
		return p.slot(p.first)
	}
	return nil
}

// overdue takes out the oldest tuple if it has been pending for too long.
func (p *pending) overdue(now recovery.Tick) (x pendingTuple, ok bool) {
	oldest := p.oldest()
	if oldest == nil || now < oldest.at+p.timeout {
		return x, false
	}
	x = *oldest
	if len(p.late) > 0 {
		p.gone++
	}
	p.finish(oldest)
	return x, true
}

// dueAt returns when the oldest tuple will have been pending for too long; 0: there is none.
func (p *pending) dueAt() recovery.Tick {
	if x := p.oldest(); x != nil {
		return x.at + p.timeout
	}
	return 0
}
