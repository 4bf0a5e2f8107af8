package executor

import (
	"sync"

	"github.com/askback/askback/internal/channel"
)

// An inbox is the one way to a task's goroutine, for messages from the transport and for answers of its log. It is
// bounded: a message beyond the bound is dropped and counted, and is asked for again like any other that was lost.
// Credits keep the task away from there. Answers are never dropped; there are few.
type inbox struct {
	mu      sync.Mutex
	in      []letter
	bytes   int
	dropped uint64
	notify  chan struct{} // holds a token while in may be non-empty
}

// A letter is a message, or an answer of the log.
type letter struct {
	message channel.Message
	answer  *answer
}

const (
	inboxLetters = 1 << 18
	inboxBytes   = 128 << 20
)

func newInbox() *inbox { return &inbox{notify: make(chan struct{}, 1)} }

// deliver takes a message from the transport. It does not block.
func (b *inbox) deliver(m channel.Message) {
	b.mu.Lock()
	if len(b.in) >= inboxLetters || b.bytes >= inboxBytes {
		b.dropped++
		b.mu.Unlock()
		return
	}
	b.bytes += len(m.Payload)
	b.put(letter{message: m})
}

// post takes an answer of the log.
func (b *inbox) post(a *answer) {
	b.mu.Lock()
	b.put(letter{answer: a})
}

// put appends a letter and unlocks the inbox.
func (b *inbox) put(l letter) {
	b.in = append(b.in, l)
	first := len(b.in) == 1
	b.mu.Unlock()
	if first {
		b.wake()
	}
}

// wake ends the sleep of the task's goroutine.
func (b *inbox) wake() {
	select {
	case b.notify <- struct{}{}:
	default:
	}
}

// take returns all letters, in the order they came. The slice that it took before is used again.
func (b *inbox) take(spare []letter) []letter {
	b.mu.Lock()
	defer b.mu.Unlock()
	taken := b.in
	b.in, b.bytes = spare[:0], 0
	return taken
}

// lost returns how many messages were dropped.
func (b *inbox) lost() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.dropped
}
