package memchan

import (
	"fmt"
	"slices"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// An Endpoint is a task's place in the network.
type Endpoint struct {
	t            *Transport
	self         msgid.Alias
	deliver      func(channel.Message)
	paused, left bool // guarded by t.mu
}

// Send implements channel.Endpoint: it queues a copy of payload for each endpoint that has joined as to.
func (e *Endpoint) Send(kind channel.Kind, to msgid.Alias, payload []byte) error {
	t := e.t
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case e.left:
		return fmt.Errorf("send %s %s>%s: %w", kind, e.self, to, channel.ErrClosed)
	case len(payload) > t.cfg.MaxPayload:
		return fmt.Errorf("send %s %s>%s: %w: %d bytes, at most %d", kind, e.self, to, channel.ErrTooLarge, len(payload), t.cfg.MaxPayload)
	case kind >= channel.Kinds:
		return fmt.Errorf("send %s %s>%s: %w", kind, e.self, to, channel.ErrAddress)
	}
	if err := check(to); err != nil {
		return fmt.Errorf("send %s %s>%s: %w", kind, e.self, to, err)
	}
	p := parcel{Message: channel.Message{Kind: kind, From: e.self, Payload: payload}, to: to}
	switch {
	case t.severed[pair{e.self, to}]:
		t.stats.Lost++
	case t.isLate(&p):
		t.stats.Late++
		t.post(p)
	case len(t.endpoints[to]) == 0:
		t.stats.Lost++
	default:
		for _, p.ep = range t.endpoints[to] {
			t.post(p)
		}
	}
	return nil
}

// Leave implements channel.Endpoint. Pending messages for it are lost.
func (e *Endpoint) Leave() error {
	t := e.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.left {
		return nil
	}
	e.left = true
	t.endpoints[e.self] = slices.DeleteFunc(t.endpoints[e.self], func(o *Endpoint) bool { return o == e })
	t.pending = slices.DeleteFunc(t.pending, func(p parcel) bool {
		if p.ep == e {
			t.stats.Lost++
		}
		return p.ep == e
	})
	return nil
}

// Pause keeps messages to the endpoint pending until Resume, as for a process that is stopped.
func (e *Endpoint) Pause() { e.setPaused(true) }

// Resume ends Pause.
func (e *Endpoint) Resume() { e.setPaused(false) }

func (e *Endpoint) setPaused(to bool) {
	e.t.mu.Lock()
	defer e.t.mu.Unlock()
	e.paused = to
}

// take hands the message to the task, unless it has left.
func (e *Endpoint) take(m channel.Message) bool {
	e.t.mu.Lock()
	left := e.left
	if left {
		e.t.stats.Lost++
	} else {
		e.t.stats.Delivered++
	}
	e.t.mu.Unlock()
	if left {
		return false
	}
	e.deliver(m)
	return true
}

func (e *Endpoint) hasLeft() bool {
	e.t.mu.Lock()
	defer e.t.mu.Unlock()
	return e.left
}
