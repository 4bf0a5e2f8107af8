package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// An ack is JetStream's answer to a message that is durable.
type ack struct {
	seq       uint64
	duplicate bool
}

// A writer publishes messages, many at a time and each in the order of its sender, and learns the outcome of each by
// its reply. It bounds the messages on their way.
type writer struct {
	nc      *nats.Conn
	stream  string
	limit   int64
	timeout time.Duration
	stats   *stats
	answers *nats.Subscription
	inbox   string // a message's replies go to inbox.NUMBER

	mu      sync.Mutex
	room    sync.Cond // signalled whenever pending falls
	pending int64     // bytes reserved
	waiting map[uint64]write
	number  uint64 // of the last write
	closed  bool

	stop chan struct{} // ends expire
	done chan struct{} // expire has ended
}

// A write is a message that is not answered yet.
type write struct {
	size   int64
	due    time.Time
	report func(ack, error)
}

func newWriter(nc *nats.Conn, stream string, limit int64, timeout time.Duration, stats *stats) (*writer, error) {
	w := &writer{
		nc: nc, stream: stream, limit: limit, timeout: timeout, stats: stats, inbox: nc.NewInbox(),
		waiting: make(map[uint64]write), stop: make(chan struct{}), done: make(chan struct{}),
	}
	w.room.L = &w.mu
	var err error
	if w.answers, err = nc.Subscribe(w.inbox+".*", w.onAnswer); err != nil {
		return nil, err
	}
	go w.expire()
	return w, nil
}

// reserve takes room for n bytes that are about to come, or reports that there is none. A message larger than the limit
// goes alone.
func (w *writer) reserve(n int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return ErrClosed
	case w.pending > 0 && w.pending+n > w.limit:
		return ErrBusy
	}
	w.pending += n
	return nil
}

// reserveSoon waits for room.
func (w *writer) reserveSoon(n int64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.closed && w.pending > 0 && w.pending+n > w.limit {
		w.room.Wait()
	}
	if w.closed {
		return ErrClosed
	}
	w.pending += n
	return nil
}

// release gives back reserved room.
func (w *writer) release(n int64) {
	w.mu.Lock()
	w.pending -= n
	w.mu.Unlock()
	w.room.Broadcast()
}

// write publishes a message for which size bytes are reserved; it gives them back when the outcome is known. It reports
// the outcome once, from any goroutine; report must not block.
func (w *writer) write(m *nats.Msg, size int64, report func(ack, error)) {
	// While the connection is away the client would keep the message until its sender no longer waits for it.
	if !w.nc.IsConnected() {
		w.finish(write{size: size, report: report}, ack{}, fmt.Errorf("%w: not connected", ErrUnknown))
		return
	}
	w.mu.Lock()
	if w.closed { // since room was reserved
		w.mu.Unlock()
		w.finish(write{size: size, report: report}, ack{}, ErrClosed)
		return
	}
	w.number++
	number := w.number
	w.waiting[number] = write{size: size, due: time.Now().Add(w.timeout), report: report}
	w.mu.Unlock()
	m.Reply = w.inbox + "." + strconv.FormatUint(number, 36)
	if err := w.nc.PublishMsg(m); err != nil {
		if wrote, ok := w.answered(number); ok {
			w.finish(wrote, ack{}, fmt.Errorf("%w: %w", ErrUnknown, err))
		}
	}
}

// answered takes a write out of those that wait.
func (w *writer) answered(number uint64) (write, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	wrote, ok := w.waiting[number]
	delete(w.waiting, number)
	return wrote, ok
}

// finish reports the outcome of a write.
func (w *writer) finish(wrote write, a ack, err error) {
	switch {
	case err != nil:
		w.stats.failed.Add(1)
	default:
		w.stats.written.Add(1)
		w.stats.bytes.Add(uint64(wrote.size))
		if a.duplicate {
			w.stats.duplicates.Add(1)
		}
	}
	wrote.report(a, err)
	w.release(wrote.size)
}

// onAnswer is called by the client's goroutine for each answer.
func (w *writer) onAnswer(m *nats.Msg) {
	number, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, w.inbox+"."), 36, 64)
	if err != nil {
		return
	}
	if wrote, ok := w.answered(number); ok {
		a, err := w.understand(m)
		w.finish(wrote, a, err)
	}
}

// JetStream's error codes that mean that there is no room, with the remedies.
var full = map[int]string{
	10002: "raise the account's limits", 10023: "raise the server's limits (max_file_store)",
	10047: "raise the server's limits (max_file_store)",
	10077: "raise MaxBytes, or lower MaxAge; if the disk is full, free space and restart the server",
}

// codeTooMany is JetStream's own backpressure.
const codeTooMany = 10167

// understand reads an answer.
func (w *writer) understand(m *nats.Msg) (ack, error) {
	if m.Header.Get("Status") == "503" {
		return ack{}, fmt.Errorf("%w: no server answers for stream %s: is it gone, or JetStream not running?", ErrUnknown, w.stream)
	}
	var answer struct {
		Error *struct {
			Code        int    `json:"err_code"`
			Description string `json:"description"`
		} `json:"error"`
		Stream    string `json:"stream"`
		Seq       uint64 `json:"seq"`
		Duplicate bool   `json:"duplicate"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return ack{}, fmt.Errorf("%w: unreadable answer: %w", ErrUnknown, err)
	}
	if e := answer.Error; e != nil {
		if remedy, ok := full[e.Code]; ok {
			return ack{}, fmt.Errorf("%w: %s; %s", ErrFull, e.Description, remedy)
		}
		if e.Code == codeTooMany {
			return ack{}, fmt.Errorf("%w: JetStream: %s", ErrBusy, e.Description)
		}
		return ack{}, fmt.Errorf("%w: JetStream error %d: %s", ErrUnknown, e.Code, e.Description)
	}
	if answer.Stream != w.stream || answer.Seq == 0 {
		return ack{}, fmt.Errorf("%w: stream %q took the message, want %q: another stream has these subjects too", ErrUnknown, answer.Stream, w.stream)
	}
	return ack{answer.Seq, answer.Duplicate}, nil
}

// expire gives up messages that are not answered in time. It is the writer's goroutine.
func (w *writer) expire() {
	defer close(w.done)
	tick := time.NewTicker(max(w.timeout/10, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-w.stop:
			return
		case now := <-tick.C:
			w.giveUp(func(wrote write) bool { return wrote.due.Before(now) }, fmt.Errorf("%w within %v", ErrUnknown, w.timeout))
		}
	}
}

// giveUp finishes the writes chosen with an error.
func (w *writer) giveUp(which func(write) bool, err error) {
	var late []write
	w.mu.Lock()
	for number, wrote := range w.waiting {
		if which(wrote) {
			late = append(late, wrote)
			delete(w.waiting, number)
		}
	}
	w.mu.Unlock()
	for _, wrote := range late {
		w.finish(wrote, ack{}, err)
	}
}

// close refuses new messages and waits for those on their way, at most for the timeout.
func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	w.room.Broadcast()
	for len(w.waiting) > 0 {
		w.room.Wait()
	}
	w.mu.Unlock()
	close(w.stop)
	<-w.done
	if err := w.answers.Unsubscribe(); err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return err
	}
	return nil
}
