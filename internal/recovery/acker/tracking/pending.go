package tracking

import (
	"slices"
	"sort"

	"github.com/askback/askback/internal/recovery"
)

// A Pending is the tuples that a spout task has emitted and that are not known to be processed: enough to emit them
// again. It belongs to a Tracker.
//
// Roots are counted, so those that are pending lie in a window of numbers. One that is still there when the window is full,
// because a part of its tree was lost, is moved to the late ones, so that it does not hold up the others.
type Pending struct {
	most    int           // tuples
	bound   int           // bytes
	timeout recovery.Tick // after which a tuple is emitted again
	base    uint64        // a root is base + its number

	window []Tuple // a ring of a power of two, of the numbers from first to next
	first  uint32
	next   uint32
	late   []Tuple // by number, all of them before first
	gone   int     // of late, that are done
	open   int     // tuples that are not done
	bytes  int     // of these

	items   []byte  // where the bytes of the next tuple go
	outputs []int32 // where its channels go
	mark    int     // where those of the running one begin
	emitted uint64  // tuples of the spout, each once
	counted uint64  // of these, in polls

	// Polls are the calls of the spout, from the oldest of which tuples are not done: when all tuples of a poll are done,
	// the spout need not return to before it.
	polls    []poll
	front    int    // polls before it are done with
	poll     uint64 // the number of polls[0]
	position []byte // the spout's position after a restart

	ended bool // the spout's input has
	safe  bool // all of it is processed, and the position is stored
}

// A Tuple is a tuple that is not known to be processed.
type Tuple struct {
	Item    []byte
	Outputs []int32 // the channels that it went to; see recovery.Output
	Nth     uint64  // which of the spout's tuples it is, from 1
	Birth   int64   // Unix ns

	number uint32 // of its root
	done   bool
	poll   uint64 // in which the spout emitted it
	at     recovery.Tick
}

type poll struct {
	open     int    // tuples that are not done
	position []byte // the spout's position after it
}

const (
	itemChunk   = 64 << 10 // bytes allocated at once
	outputChunk = 4 << 10  // channels allocated at once
	maxPolls    = 1 << 14
)

func newPending(most, bound int, timeout recovery.Tick) *Pending {
	return &Pending{most: most, bound: bound, timeout: timeout, window: make([]Tuple, 256)}
}

// MayPoll reports whether the spout may be called. If not, it may again after an answer of the ledger, a snapshot, or some
// time.
func (p *Pending) MayPoll() bool { return !p.full() && !p.ended }

// Over reports whether the spout may end its channels: its input has ended, all of it is processed, and its position is
// stored. Tuples that were emitted again after that would come to tasks that have ended themselves.
func (p *Pending) Over() bool { return p.safe }

// InputEnded notes that the spout's input has ended.
func (p *Pending) InputEnded() { p.ended = true }

// Drained reports whether the spout's input has ended and all of it is processed, and its position is not stored yet.
func (p *Pending) Drained() bool { return p.ended && p.open == 0 && !p.safe }

// Stored notes that the position at the drained input is durable.
func (p *Pending) Stored() { p.safe = true }

// Position returns the spout's position after a restart: before the oldest poll with a pending tuple.
func (p *Pending) Position() []byte { return p.position }

// Bytes returns how many bytes of tuples are pending.
func (p *Pending) Bytes() int { return p.bytes }

func (p *Pending) full() bool { return p.open >= p.most || p.bytes >= p.bound }

// begin begins a tree and returns its root.
func (p *Pending) begin() uint64 {
	p.mark = len(p.outputs)
	return p.base + uint64(p.next)
}

// went notes a channel of the running tuple.
func (p *Pending) went(output int32) {
	if len(p.outputs) == cap(p.outputs) {
		some := p.outputs[p.mark:]
		p.outputs, p.mark = append(make([]int32, 0, max(outputChunk, 2*len(some))), some...), 0
	}
	p.outputs = append(p.outputs, output)
}

// add keeps the running tuple, which the spout has just emitted.
func (p *Pending) add(item []byte, birth int64, now recovery.Tick) {
	if len(item) > cap(p.items)-len(p.items) {
		p.items = make([]byte, 0, max(itemChunk, len(item)))
	}
	p.items = append(p.items, item...)
	p.emitted++
	x := Tuple{Item: p.items[len(p.items)-len(item):], Nth: p.emitted, Birth: birth, poll: p.poll + uint64(len(p.polls))}
	if p.manyPolls() { // Polled will add none
		x.poll--
		p.polls[len(p.polls)-1].open++
	}
	p.keep(x, now)
}

// keep appends the running tuple, which was just emitted, to the window.
func (p *Pending) keep(x Tuple, now recovery.Tick) {
	if int(p.next-p.first) == len(p.window) {
		p.makeRoom()
	}
	x.number, x.Outputs, x.at = p.next, p.outputs[p.mark:], now
	*p.slot(p.next) = x
	p.next++
	p.open++
	p.bytes += len(x.Item)
}

func (p *Pending) slot(number uint32) *Tuple { return &p.window[int(number)&(len(p.window)-1)] }

// makeRoom makes the window longer, or, if it is long enough, moves its oldest tuple to the late ones.
func (p *Pending) makeRoom() {
	if len(p.window) < 2*p.most {
		longer := make([]Tuple, 2*len(p.window))
		for n := p.first; n != p.next; n++ {
			longer[int(n)&(len(longer)-1)] = *p.slot(n)
		}
		p.window = longer
		return
	}
	p.late = append(p.late, *p.slot(p.first)) // the oldest entry is never done; see trim
	p.dropFirst()
	p.trim()
}

func (p *Pending) dropFirst() {
	*p.slot(p.first) = Tuple{}
	p.first++
}

// trim drops the oldest entries that are done.
func (p *Pending) trim() {
	for p.first != p.next && p.slot(p.first).done {
		p.dropFirst()
	}
	for len(p.late) > 0 && p.late[0].done {
		p.late, p.gone = p.late[1:], p.gone-1
	}
	if 2*p.gone > len(p.late) {
		p.late, p.gone = slices.DeleteFunc(p.late, func(x Tuple) bool { return x.done }), 0
	}
}

// Complete notes that a root's tree is processed. It returns the number of the spout's tuple; false if none of that root is
// pending, such as one that was emitted again meanwhile.
func (p *Pending) Complete(root uint64) (nth uint64, ok bool) {
	number := uint32(root)
	if root != p.base+uint64(number) {
		return 0, false // of another incarnation
	}
	var x *Tuple
	switch inWindow := number-p.first < p.next-p.first; {
	case inWindow && !p.slot(number).done:
		x = p.slot(number)
	case inWindow:
		return 0, false
	default:
		// Numbers begin anew after 2^32 of them, so they are compared by their distance.
		i := sort.Search(len(p.late), func(i int) bool { return p.next-p.late[i].number <= p.next-number })
		if i == len(p.late) || p.late[i].number != number || p.late[i].done {
			return 0, false
		}
		x = &p.late[i]
		p.gone++
	}
	nth = x.Nth
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

func (p *Pending) manyPolls() bool { return len(p.polls)-p.front >= maxPolls }

// finish removes a tuple from the counts.
func (p *Pending) finish(x *Tuple) {
	p.open--
	p.bytes -= len(x.Item)
	*x = Tuple{number: x.number, done: true}
	p.trim()
}

// Polled notes that the spout was called, once or several times, and its position now.
func (p *Pending) Polled(position []byte) {
	tuples := int(p.emitted - p.counted)
	p.counted = p.emitted
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
func (p *Pending) oldest() *Tuple {
	switch {
	case len(p.late) > 0:
		return &p.late[0]
	case p.first != p.next:
		return p.slot(p.first)
	}
	return nil
}

// overdue takes out the oldest tuple if it has been pending for too long.
func (p *Pending) overdue(now recovery.Tick) (x Tuple, ok bool) {
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

// DueAt returns when the oldest tuple will have been pending for too long; 0: there is none.
func (p *Pending) DueAt() recovery.Tick {
	if x := p.oldest(); x != nil {
		return x.at + p.timeout
	}
	return 0
}
