package memchan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// Config describes the network. The zero value is a perfect one.
type Config struct {
	MaxPayload int        // longest message in bytes; default 1 MiB, as in NATS
	Rand       *rand.Rand // decides the faults; needed if there are any
	Faults     Faults
}

// Stats counts messages by their outcome, once for each receiving endpoint. Sent are those that were queued, the doubles
// included.
type Stats struct {
	Sent, Delivered                    uint64
	Lost                               uint64 // by fault, partition, or because no endpoint had joined
	Duplicated, Damaged, Delayed, Late uint64
}

// A Transport is one network in memory, of one topology. Make it with New.
type Transport struct {
	mu        sync.Mutex
	cfg       Config
	now       uint64 // in ticks; see Advance
	pending   []parcel
	late      int // how many of them are late
	endpoints map[msgid.Alias][]*Endpoint
	severed   map[pair]bool
	stats     Stats
	closed    bool
}

type pair struct{ from, to msgid.Alias }

// A parcel is a message on its way to one endpoint. A late one (nil) goes to all endpoints that have joined when it
// arrives.
type parcel struct {
	channel.Message
	to  msgid.Alias
	ep  *Endpoint
	due uint64
}

// New returns an empty network.
func New(cfg Config) *Transport {
	if cfg.MaxPayload == 0 {
		cfg.MaxPayload = 1 << 20
	}
	return &Transport{cfg: cfg, endpoints: map[msgid.Alias][]*Endpoint{}, severed: map[pair]bool{}}
}

// Join implements channel.Transport. The result is an *Endpoint.
func (t *Transport) Join(self msgid.Alias, deliver func(channel.Message)) (channel.Endpoint, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("join %s: %w", self, channel.ErrClosed)
	}
	if err := check(self); err != nil {
		return nil, fmt.Errorf("join %s: %w", self, err)
	}
	e := &Endpoint{t: t, self: self, deliver: deliver}
	t.endpoints[self] = append(t.endpoints[self], e)
	return e, nil
}

// MaxPayload implements channel.Transport.
func (t *Transport) MaxPayload() int { return t.cfg.MaxPayload }

// Close implements channel.Transport. Pending messages are lost.
func (t *Transport) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, es := range t.endpoints {
		for _, e := range es {
			e.left = true
		}
	}
	t.closed, t.pending, t.late = true, nil, 0
	clear(t.endpoints)
	return nil
}

// Stats returns the counters so far.
func (t *Transport) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.stats
}

// Pending returns the number of messages on their way.
func (t *Transport) Pending() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.pending)
}

// A Parcel shows a pending message. The payload is shared: do not change it.
type Parcel struct {
	channel.Message
	To       msgid.Alias
	Endpoint *Endpoint // that it goes to; nil if it is late: it goes to all that have joined when it arrives
}

// Peek shows the i-th pending message, the oldest being 0.
func (t *Transport) Peek(i int) Parcel {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pending[i]
	return Parcel{p.Message, p.to, p.ep}
}

// Deliver delivers the i-th pending message, the oldest being 0, regardless of order and delay. It returns false if
// there is none, or if it did not arrive: its endpoint has left or is paused, or the way is severed. Such a message is
// lost, except that one to a paused endpoint stays pending.
func (t *Transport) Deliver(i int) bool {
	t.mu.Lock()
	if i < 0 || i >= len(t.pending) || t.paused(&t.pending[i]) {
		t.mu.Unlock()
		return false
	}
	p := t.pending[i]
	t.remove(i)
	to := []*Endpoint{p.ep}
	if p.ep == nil {
		to = append([]*Endpoint(nil), t.endpoints[p.to]...)
	}
	severed := t.severed[pair{p.From, p.to}]
	if severed || len(to) == 0 {
		t.stats.Lost++
	}
	t.mu.Unlock()
	if severed {
		return false
	}
	arrived := false
	for n, e := range to { // without the lock: deliver may call Send and Leave
		m := p.Message
		if n > 0 { // each receiver owns its payload
			m.Payload = append([]byte(nil), m.Payload...)
		}
		arrived = e.take(m) || arrived
	}
	return arrived
}

// Deliverable returns the indices of the pending messages that a network without reordering may deliver next:
// those of Control and Replay that are due, and the first of each flow of Data if it is due. None goes to a
// paused endpoint. The result is valid until the next call of Send, Deliver, Leave or Close.
func (t *Transport) Deliverable() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(t.heads)
}

// Drain delivers in order, the oldest first, until no message is deliverable, and lets the time pass that delayed messages
// need. Messages to paused endpoints stay pending. It does not end if two tasks answer each other for ever.
func (t *Transport) Drain() {
	for {
		if i, ok := t.first(); ok {
			t.Deliver(i)
		} else if !t.skip() {
			return
		}
	}
}

// Advance lets n ticks pass. Only delays are counted in them.
func (t *Transport) Advance(n uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.now += n
}

// heads yields the indices that Deliverable returns.
func (t *Transport) heads(yield func(int) bool) {
	type flow struct {
		pair
		ep *Endpoint
	}
	var (
		begun  map[flow]bool
		late   map[pair]bool // a late message holds up all that follow it: it may be for any endpoint
		routed map[pair]bool // and it waits for all before it
	)
	for i := range t.pending {
		p := &t.pending[i]
		way := pair{p.From, p.to}
		ordered := p.Kind == channel.Data
		blocked := ordered && (late[way] || begun[flow{way, p.ep}] || p.ep == nil && routed[way])
		if !blocked && p.due <= t.now && !t.paused(p) && !yield(i) {
			return
		}
		if !ordered {
			continue
		}
		if begun == nil {
			begun, late, routed = map[flow]bool{}, map[pair]bool{}, map[pair]bool{}
		}
		begun[flow{way, p.ep}] = true
		if p.ep == nil {
			late[way] = true
		} else {
			routed[way] = true
		}
	}
}

// first returns the oldest message that is deliverable.
func (t *Transport) first() (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range t.heads {
		return i, true
	}
	return 0, false
}

// remove takes the i-th message off the queue; the first, which is the usual one, without moving the others.
func (t *Transport) remove(i int) {
	if t.pending[i].ep == nil {
		t.late--
	}
	if i == 0 {
		t.pending[0] = parcel{}
		t.pending = t.pending[1:]
		return
	}
	t.pending = slices.Delete(t.pending, i, i+1)
}

// skip advances to when the next delayed message is due. It returns false if there is none.
func (t *Transport) skip() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := uint64(0)
	for i := range t.pending {
		if p := &t.pending[i]; p.due > t.now && !t.paused(p) && (next == 0 || p.due < next) {
			next = p.due
		}
	}
	if next == 0 {
		return false
	}
	t.now = next
	return true
}

// paused reports whether p waits for an endpoint that is paused.
func (t *Transport) paused(p *parcel) bool { return p.ep != nil && p.ep.paused }

func check(a msgid.Alias) error {
	if !msgid.ValidName(a.Operator) || a.Index < 0 {
		return fmt.Errorf("%w: %q is not a task alias", channel.ErrAddress, a.String())
	}
	return nil
}
