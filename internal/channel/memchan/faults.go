package memchan

import (
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// Faults are probabilities from 0 to 1, each decided anew for every message to every endpoint. Reordering is not among
// them: the caller chooses which message to Deliver.
type Faults struct {
	Drop      float64
	Duplicate float64 // one more of the same, behind it in order
	Corrupt   float64 // one bit of one byte is flipped
	Delay     float64 // not deliverable for 1 to MaxDelay ticks; later messages of its Data flow wait behind it
	MaxDelay  uint64  // in ticks of Advance; default 10
	// Late: the message has not reached the server yet. It goes to the endpoints that have joined when it arrives,
	// which may be an incarnation that had not begun when it was sent.
	Late float64
}

// SetFaults changes the faults for messages sent from now on.
func (t *Transport) SetFaults(f Faults) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cfg.Faults = f
}

// Sever cuts the way from one alias to another, in this direction only. Messages that are sent or delivered while it is
// cut are lost.
func (t *Transport) Sever(from, to msgid.Alias) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.severed[pair{from, to}] = true
}

// Heal restores the way from one alias to another.
func (t *Transport) Heal(from, to msgid.Alias) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.severed, pair{from, to})
}

// HealAll restores all ways.
func (t *Transport) HealAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.severed)
}

// isLate decides whether a message has not reached the server yet. On Data it has not while one before it has
// not either.
func (t *Transport) isLate(p *parcel) bool {
	if p.Kind == channel.Data && t.late > 0 {
		for i := range t.pending {
			q := &t.pending[i]
			if q.ep == nil && q.Kind == p.Kind && q.From == p.From && q.to == p.to {
				return true
			}
		}
	}
	return t.chance(t.cfg.Faults.Late)
}

// post queues the message, subject to the faults.
func (t *Transport) post(p parcel) {
	f := &t.cfg.Faults
	if t.chance(f.Drop) {
		t.stats.Lost++
		return
	}
	if t.chance(f.Duplicate) {
		t.stats.Duplicated++
		t.queue(p)
	}
	t.queue(p)
}

func (t *Transport) queue(p parcel) {
	f := &t.cfg.Faults
	p.Payload = append([]byte{}, p.Payload...)
	if len(p.Payload) > 0 && t.chance(f.Corrupt) {
		t.stats.Damaged++
		p.Payload[t.cfg.Rand.IntN(len(p.Payload))] ^= 1 << t.cfg.Rand.IntN(8)
	}
	if t.chance(f.Delay) {
		t.stats.Delayed++
		most := f.MaxDelay
		if most == 0 {
			most = 10
		}
		p.due = t.now + 1 + t.cfg.Rand.Uint64N(most)
	}
	t.stats.Sent++
	t.pending = append(t.pending, p)
	if p.ep == nil {
		t.late++
	}
}

func (t *Transport) chance(p float64) bool { return p > 0 && t.cfg.Rand.Float64() < p }
