package natschan

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// maxCache bounds the caches of subjects and of senders. A task has fewer peers than this; beyond it, subjects
// are built and parsed anew each time.
const maxCache = 4096

// An endpoint is a task's place: three subscriptions, and the subjects it has sent to.
type endpoint struct {
	t      *Transport
	self   msgid.Alias
	inlets [channel.Kinds]*inlet
	left   atomic.Bool

	mu    sync.RWMutex
	cache map[address]string // to subject
}

type address struct {
	kind channel.Kind
	to   msgid.Alias
}

// Send implements channel.Endpoint.
func (e *endpoint) Send(kind channel.Kind, to msgid.Alias, payload []byte) error {
	if e.left.Load() {
		return fmt.Errorf("send %s %s>%s: %w", kind, e.self, to, channel.ErrClosed)
	}
	subject, err := e.subject(kind, to)
	if err == nil {
		err = e.t.publish(kind, subject, payload)
	}
	if err != nil {
		return fmt.Errorf("send %s %s>%s: %w", kind, e.self, to, err)
	}
	return nil
}

// Leave implements channel.Endpoint.
func (e *endpoint) Leave() error {
	if e.left.Swap(true) {
		return nil
	}
	e.t.mu.Lock()
	if _, ok := e.t.endpoints[e]; ok {
		delete(e.t.endpoints, e)
		e.t.stats.dropped.Add(e.dropped())
	}
	e.t.mu.Unlock()
	for _, in := range e.inlets {
		if in != nil {
			in.stop()
		}
	}
	return nil
}

// subject returns "<prefix>.<topology>.data.split.1.count.3".
func (e *endpoint) subject(kind channel.Kind, to msgid.Alias) (string, error) {
	key := address{kind, to}
	e.mu.RLock()
	subject, ok := e.cache[key]
	e.mu.RUnlock()
	if ok {
		return subject, nil
	}
	if kind >= channel.Kinds {
		return "", fmt.Errorf("%w: %s", channel.ErrAddress, kind)
	}
	if err := check(to); err != nil {
		return "", err
	}
	subject = e.t.subjects + kind.String() + "." + e.self.String() + "." + to.String()
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.cache) < maxCache {
		e.cache[key] = subject
	}
	return subject, nil
}

// subscribe makes the inlets and returns when the server has confirmed them.
func (e *endpoint) subscribe(deliver func(channel.Message)) error {
	links := [...]*link{e.t.data, e.t.control}
	before := [...]error{links[0].LastError(), links[1].LastError()}
	for kind := range channel.Kind(channel.Kinds) {
		in := &inlet{t: e.t, kind: kind, to: e.self.String(), deliver: deliver, senders: map[string]msgid.Alias{}}
		subject := e.t.subjects + kind.String() + ".*.*." + in.to
		sub, err := e.t.link(kind).Subscribe(subject, in.take)
		if err != nil {
			return fmt.Errorf("subscribe to %s: %w", subject, err)
		}
		in.sub = sub
		e.inlets[kind] = in
		if err := sub.SetPendingLimits(pendingMessages, pendingBytes); err != nil {
			return fmt.Errorf("subscribe to %s: %w", subject, err)
		}
	}
	for i, l := range links {
		if err := l.confirm(joinTimeout); err != nil {
			return fmt.Errorf("confirm subscription: %w", err)
		}
		// A denial comes before the answer to the flush. It is not an error of the flush.
		if err := l.LastError(); err != before[i] && errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), ".*.*."+e.self.String()+`"`) {
			return err
		}
	}
	return nil
}

// dropped returns how many messages the client library has dropped.
func (e *endpoint) dropped() (n uint64) {
	for _, in := range e.inlets {
		if in == nil {
			continue
		}
		if d, err := in.sub.Dropped(); err == nil {
			n += uint64(d)
		}
	}
	return n
}

// An inlet is the subscription of one endpoint for one kind.
type inlet struct {
	t       *Transport
	kind    channel.Kind
	to      string
	sub     *nats.Subscription
	senders map[string]msgid.Alias // by subject; used by the subscription's goroutine only

	mu      sync.Mutex // held while delivering, so that stop can wait
	stopped bool
	deliver func(channel.Message)
}

// take is called by the client library for each message. The payload is the library's copy, made for us.
func (in *inlet) take(m *nats.Msg) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.stopped {
		return
	}
	from, ok := in.sender(m.Subject)
	if !ok || len(m.Header) > 0 { // no task sends headers: another client has had JetStream answer here
		in.t.eventRarely(&in.t.stats.foreign, Foreign, connOf(in.kind), fmt.Errorf("%w: subject %.200q", channel.ErrAddress, m.Subject))
		return
	}
	n := &in.t.stats.kinds[in.kind]
	n.received.Add(1)
	n.receivedBytes.Add(uint64(len(m.Data)))
	in.deliver(channel.Message{Kind: in.kind, From: from, Payload: m.Data})
}

func (in *inlet) stop() {
	_ = in.sub.Unsubscribe()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.stopped = true
}

// sender reads the sender from "<prefix>.<topology>.data.<sender>.<to>".
func (in *inlet) sender(subject string) (msgid.Alias, bool) {
	if from, ok := in.senders[subject]; ok {
		return from, true
	}
	s, ok := strings.CutPrefix(subject, in.t.subjects+in.kind.String()+".")
	if !ok {
		return msgid.Alias{}, false
	}
	s, ok = strings.CutSuffix(s, "."+in.to)
	if !ok {
		return msgid.Alias{}, false
	}
	from, err := msgid.ParseAlias(s)
	if err != nil {
		return msgid.Alias{}, false
	}
	if len(in.senders) < maxCache {
		in.senders[subject] = from
	}
	return from, true
}

func connOf(kind channel.Kind) string {
	if kind == channel.Data {
		return "data"
	}
	return "control"
}

func check(a msgid.Alias) error {
	if !msgid.ValidName(a.Operator) || a.Index < 0 {
		return fmt.Errorf("%w: %.80q is not a task alias", channel.ErrAddress, a.String())
	}
	return nil
}
