package channeltest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// A Network is the medium that transports connect to.
type Network struct {
	// Dial returns a transport for the topology under the prefix. Transports of equal prefix and topology reach
	// each other.
	Dial func(prefix, topology string) (channel.Transport, error)
	// Nameless: prefix and topology only choose the network, and are never part of an address.
	Nameless bool
	// Pump delivers the messages on their way, for a network without goroutines. May be nil.
	Pump func()
}

// Run runs the suite, with a new network for each test.
func Run(t *testing.T, network func(t *testing.T) Network) {
	for _, c := range []struct {
		name string
		test func(*suite)
	}{
		{"Addressing", addressing},
		{"BadAddress", badAddress},
		{"OrderOfData", orderOfData},
		{"OwnPayload", ownPayload},
		{"Isolation", isolation},
		{"BadNames", badNames},
		{"Sizes", sizes},
		{"Garbage", garbage},
		{"SameAlias", sameAlias},
		{"Nobody", nobody},
		{"JoinIsConfirmed", joinIsConfirmed},
		{"Leave", leave},
		{"Close", closing},
		{"ConcurrentSenders", concurrentSenders},
		{"ManyTasks", manyTasks},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(&suite{T: t, network: network(t)}) })
	}
}

// timeout is how long a message may take before a test fails. It is not a measurement.
const timeout = 20 * time.Second

var (
	split0 = msgid.Alias{Operator: "split", Index: 0}
	split1 = msgid.Alias{Operator: "split", Index: 1}
	count3 = msgid.Alias{Operator: "count", Index: 3}
)

// Messages reach the alias and kind they are sent to, in one transport and across two, and name their sender.
func addressing(s *suite) {
	here, there := s.dial("askback", "wc"), s.dial("askback", "wc")
	members := []*member{s.join(here, split0), s.join(here, split1), s.join(there, count3),
		s.join(there, msgid.Alias{Operator: "count", Index: 33}), s.join(there, msgid.Alias{Operator: "count-3", Index: 3})}
	want := make(map[*member][]string)
	for _, from := range members {
		for _, to := range members {
			for kind := range channel.Kind(channel.Kinds) {
				text := fmt.Sprintf("%s %s>%s", kind, from.self, to.self)
				s.send(from, kind, to.self, []byte(text))
				want[to] = append(want[to], text)
			}
		}
	}
	for _, m := range members {
		s.wait(m, len(want[m]))
	}
	s.settle()
	for _, m := range members {
		var got []string
		for _, msg := range m.messages() {
			if claim := fmt.Sprintf("%s %s>%s", msg.Kind, msg.From, m.self); claim != string(msg.Payload) {
				s.Errorf("%s: message %q arrived as %q", m.self, msg.Payload, claim)
			}
			got = append(got, string(msg.Payload))
		}
		slices.Sort(got)
		slices.Sort(want[m])
		if !slices.Equal(got, want[m]) {
			s.Errorf("%s: got %q, want %q", m.self, got, want[m])
		}
	}
}

// An invalid address is refused before it becomes a subject.
func badAddress(s *suite) {
	t := s.dial("askback", "wc")
	m := s.join(t, count3)
	for _, a := range []msgid.Alias{{}, {Operator: "*"}, {Operator: ">"}, {Operator: "a.b"}, {Operator: "a b"}, {Operator: "a", Index: -1}, {Operator: "ä"}, {Operator: "a\r\nPUB x 0"}} {
		if err := m.Send(channel.Data, a, nil); !errors.Is(err, channel.ErrAddress) {
			s.Errorf("send to %q: %v, want ErrAddress", a, err)
		}
		if e, err := t.Join(a, func(channel.Message) {}); !errors.Is(err, channel.ErrAddress) {
			s.Errorf("join as %q: %v, %v, want ErrAddress", a, e, err)
		}
	}
	if err := m.Send(channel.Kinds, split0, nil); !errors.Is(err, channel.ErrAddress) {
		s.Errorf("send of unknown kind: %v, want ErrAddress", err)
	}
}

// Each sender's Data arrives in the order in which it was sent, with none missing or doubled.
func orderOfData(s *suite) {
	const n = 2000
	a, b := s.dial("askback", "wc"), s.dial("askback", "wc")
	from, to := []*member{s.join(a, split0), s.join(b, split1)}, s.join(b, count3)
	for i := range n {
		for _, f := range from {
			s.send(f, channel.Data, to.self, binary.BigEndian.AppendUint64(make([]byte, i%700), uint64(i)))
		}
	}
	s.wait(to, n*len(from))
	next := map[msgid.Alias]uint64{}
	for _, m := range to.messages() {
		i := binary.BigEndian.Uint64(m.Payload[len(m.Payload)-8:])
		if i != next[m.From] || len(m.Payload) != int(i%700)+8 {
			s.Fatalf("%s: message %d of %d bytes arrived, want %d", m.From, i, len(m.Payload), next[m.From])
		}
		next[m.From]++
	}
}

// Send does not retain its argument, and each receiver owns its message.
func ownPayload(s *suite) {
	t := s.dial("askback", "wc")
	from, one, two := s.join(t, split0), s.join(t, count3), s.join(t, count3)
	payload := []byte("original")
	s.send(from, channel.Data, count3, payload)
	copy(payload, "changed!")
	s.wait(one, 1)
	copy(one.messages()[0].Payload, "mine")
	s.wait(two, 1)
	if got := two.messages()[0].Payload; string(got) != "original" {
		s.Errorf("payload is %q after sender and another receiver wrote to theirs", got)
	}
}

// Topologies and prefixes do not receive each other's messages, also if one's name begins with the other's.
func isolation(s *suite) {
	worlds := [][2]string{{"askback", "wc"}, {"askback", "wc2"}, {"askback", "w"}, {"askback2", "wc"}, {"askback.wc", "wc"}, {"a", "askback"}, {"a.askback", "wc"}}
	var members []*member
	for _, w := range worlds {
		members = append(members, s.join(s.dial(w[0], w[1]), count3))
	}
	for i, m := range members {
		for kind := range channel.Kind(channel.Kinds) {
			s.send(m, kind, count3, fmt.Append(nil, worlds[i]))
		}
	}
	for _, m := range members {
		s.wait(m, channel.Kinds)
	}
	s.settle()
	for i, m := range members {
		for _, msg := range m.messages() {
			if want := fmt.Sprint(worlds[i]); string(msg.Payload) != want {
				s.Errorf("%s received %s", want, msg.Payload)
			}
		}
		if n := len(m.messages()); n != channel.Kinds {
			s.Errorf("%v: %d messages, want %d", worlds[i], n, channel.Kinds)
		}
	}
}

// A topology or prefix that would break out of its subjects is refused.
func badNames(s *suite) {
	if s.network.Nameless {
		s.Skip("this network has no names")
	}
	for _, w := range [][2]string{{"askback", ""}, {"askback", "*"}, {"askback", "a.b"}, {"askback", ">"}, {"askback", "a b"}, {"a..b", "wc"}, {".", "wc"}, {"*", "wc"}, {"a.>", "wc"}, {"a b", "wc"}} {
		t, err := s.network.Dial(w[0], w[1])
		if !errors.Is(err, channel.ErrAddress) {
			s.Errorf("dial %q: %v, want ErrAddress", w, err)
		}
		if err == nil {
			t.Close()
		}
	}
}

// Every size from 0 to MaxPayload passes; one byte more is an error without further effect.
func sizes(s *suite) {
	t := s.dial("askback", "wc")
	from, to := s.join(t, split0), s.join(t, count3)
	most := t.MaxPayload()
	if most < 1<<12 {
		s.Fatalf("MaxPayload is %d", most)
	}
	lengths := []int{0, 1, 4095, 32768, most - 1, most}
	for kind := range channel.Kind(channel.Kinds) {
		for _, n := range lengths {
			s.send(from, kind, count3, pattern(n))
		}
		if err := from.Send(kind, count3, make([]byte, most+1)); !errors.Is(err, channel.ErrTooLarge) {
			s.Errorf("%s of %d bytes: %v, want ErrTooLarge", kind, most+1, err)
		}
		s.send(from, kind, count3, []byte("after"))
	}
	s.wait(to, channel.Kinds*(len(lengths)+1))
	for kind := range channel.Kind(channel.Kinds) {
		var got []int
		for _, m := range to.messages() {
			if m.Kind == kind && string(m.Payload) != "after" {
				got = append(got, len(m.Payload))
				if !bytes.Equal(m.Payload, pattern(len(m.Payload))) {
					s.Errorf("%s of %d bytes changed on the way", kind, len(m.Payload))
				}
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, lengths) {
			s.Errorf("%s: lengths %d, want %d", kind, got, lengths)
		}
	}
}

// A transport does not look into payloads.
func garbage(s *suite) {
	t := s.dial("askback", "wc")
	from, to := s.join(t, split0), s.join(t, count3)
	seed := rand.Uint64()
	s.Logf("seed %d", seed)
	chance := rand.New(rand.NewPCG(seed, 0))
	sent := [][]byte{nil, []byte("\r\n"), []byte("PUB x 0\r\n\r\n"), []byte("+OK\r\n-ERR 'x'\r\n"), []byte("NATS/1.0\r\na: b\r\n\r\n"), {0}, {0xff, 0xc1}}
	for range 200 {
		b := make([]byte, chance.IntN(3000))
		for i := range b {
			b[i] = byte(chance.Uint32())
		}
		sent = append(sent, b)
	}
	for _, b := range sent {
		s.send(from, channel.Data, count3, b)
	}
	s.wait(to, len(sent))
	for i, m := range to.messages() {
		if !bytes.Equal(m.Payload, sent[i]) {
			s.Fatalf("message %d: got %x, sent %x", i, m.Payload, sent[i])
		}
	}
}

// A paused incarnation and its successor share an alias: both receive, in one transport or two, and either may leave.
func sameAlias(s *suite) {
	a, b := s.dial("askback", "wc"), s.dial("askback", "wc")
	from, older := s.join(a, split0), s.join(a, count3)
	s.send(from, channel.Data, count3, []byte("1"))
	s.wait(older, 1)
	newer, third := s.join(a, count3), s.join(b, count3)
	s.send(from, channel.Data, count3, []byte("2"))
	s.wait(older, 2)
	s.wait(newer, 1)
	s.wait(third, 1)
	s.must(older.Leave())
	s.send(from, channel.Data, count3, []byte("3"))
	s.wait(newer, 2)
	s.wait(third, 2)
	s.settle()
	for m, want := range map[*member]string{older: "12", newer: "23", third: "23"} {
		if got := m.text(); got != want {
			s.Errorf("received %q, want %q", got, want)
		}
	}
}

// A message to an alias without an endpoint is lost without an error, and is not kept for a later one.
func nobody(s *suite) {
	t := s.dial("askback", "wc")
	from := s.join(t, split0)
	s.send(from, channel.Data, count3, []byte("early"))
	s.settle()
	to := s.join(t, count3)
	s.send(from, channel.Data, count3, []byte("later"))
	s.wait(to, 1)
	if got := to.text(); got != "later" {
		s.Errorf("received %q, want %q", got, "later")
	}
}

// A message that is sent after Join has returned arrives, from any transport.
func joinIsConfirmed(s *suite) {
	a, b := s.dial("askback", "wc"), s.dial("askback", "wc")
	from := s.join(a, split0)
	for i := range 50 {
		to := s.join(b, msgid.Alias{Operator: "count", Index: i})
		for kind := range channel.Kind(channel.Kinds) {
			s.send(from, kind, to.self, []byte("x"))
		}
		s.wait(to, channel.Kinds)
	}
}

// After Leave has returned, no message is delivered, however many are on their way.
func leave(s *suite) {
	t := s.dial("askback", "wc")
	from, to := s.join(t, split0), s.join(t, count3)
	for range 1000 {
		s.send(from, channel.Data, count3, []byte("x"))
	}
	s.waitFor(to, 1)
	s.must(to.Leave())
	n := len(to.messages())
	for range 100 {
		s.send(from, channel.Data, count3, []byte("x"))
	}
	s.settle()
	if now := len(to.messages()); now != n {
		s.Errorf("%d messages when Leave returned, %d later", n, now)
	}
	if err := to.Send(channel.Data, split0, nil); !errors.Is(err, channel.ErrClosed) {
		s.Errorf("send after leave: %v, want ErrClosed", err)
	}
	s.must(to.Leave())
	again := s.join(t, count3)
	s.send(from, channel.Data, count3, []byte("y"))
	s.wait(again, 1)
	if got := again.text(); got != "y" {
		s.Errorf("the endpoint that joined again received %q, want %q", got, "y")
	}
}

// A closed transport refuses, and its endpoints have left.
func closing(s *suite) {
	t, other := s.dial("askback", "wc"), s.dial("askback", "wc")
	m, o := s.join(t, count3), s.join(other, split0)
	s.must(t.Close())
	s.must(t.Close())
	s.send(o, channel.Data, count3, []byte("x"))
	s.settle()
	if n := len(m.messages()); n != 0 {
		s.Errorf("%d messages after Close", n)
	}
	if err := m.Send(channel.Data, split0, nil); !errors.Is(err, channel.ErrClosed) {
		s.Errorf("send after close: %v, want ErrClosed", err)
	}
	if _, err := t.Join(split1, func(channel.Message) {}); !errors.Is(err, channel.ErrClosed) {
		s.Errorf("join after close: %v, want ErrClosed", err)
	}
	s.must(m.Leave())
}

// Many goroutines may send, to tasks that answer from within deliver.
func concurrentSenders(s *suite) {
	const senders, n = 8, 200
	a, b := s.dial("askback", "wc"), s.dial("askback", "wc")
	to := s.join(b, count3)
	to.answer = func(m channel.Message) { s.send(to, channel.Control, m.From, m.Payload) }
	var from []*member
	for i := range senders {
		from = append(from, s.join(a, msgid.Alias{Operator: "split", Index: i}))
	}
	var wg sync.WaitGroup
	for _, f := range from {
		wg.Go(func() {
			for i := range n {
				s.send(f, channel.Data, count3, binary.BigEndian.AppendUint64(nil, uint64(i)))
			}
		})
	}
	wg.Wait()
	s.wait(to, senders*n)
	for _, f := range from {
		s.wait(f, n)
		sum := uint64(0)
		for _, m := range f.messages() {
			sum += binary.BigEndian.Uint64(m.Payload)
		}
		if want := uint64(n * (n - 1) / 2); sum != want {
			s.Errorf("%s: answers add up to %d, want %d", f.self, sum, want)
		}
	}
}

// A hundred tasks in three transports, each sending to each.
func manyTasks(s *suite) {
	const tasks = 100
	transports := []channel.Transport{s.dial("askback", "wc"), s.dial("askback", "wc"), s.dial("askback", "wc")}
	var members []*member
	for i := range tasks {
		members = append(members, s.join(transports[i%len(transports)], msgid.Alias{Operator: "op", Index: i}))
	}
	for _, from := range members {
		for _, to := range members {
			s.send(from, channel.Data, to.self, []byte(to.self.String()))
		}
	}
	for _, m := range members {
		s.wait(m, tasks)
		seen := map[msgid.Alias]bool{}
		for _, msg := range m.messages() {
			seen[msg.From] = true
			if string(msg.Payload) != m.self.String() {
				s.Fatalf("%s received a message for %s", m.self, msg.Payload)
			}
		}
		if len(seen) != tasks {
			s.Errorf("%s received from %d tasks, want %d", m.self, len(seen), tasks)
		}
	}
}

// A suite is one test with its network.
type suite struct {
	*testing.T
	network Network
}

// A member is an endpoint that keeps the messages it receives.
type member struct {
	channel.Endpoint
	self   msgid.Alias
	answer func(channel.Message)

	mu       sync.Mutex
	received []channel.Message
}

func (s *suite) dial(prefix, topology string) channel.Transport {
	s.Helper()
	t, err := s.network.Dial(prefix, topology)
	s.must(err)
	s.Cleanup(func() {
		if err := t.Close(); err != nil {
			s.Errorf("close: %v", err)
		}
	})
	return t
}

func (s *suite) join(t channel.Transport, self msgid.Alias) *member {
	s.Helper()
	m := &member{self: self}
	e, err := t.Join(self, m.hear)
	s.must(err)
	m.Endpoint = e
	return m
}

func (s *suite) send(from *member, kind channel.Kind, to msgid.Alias, payload []byte) {
	if err := from.Send(kind, to, payload); err != nil {
		s.Errorf("send: %v", err)
	}
}

// wait waits until the member has received n messages, and fails if it received more.
func (s *suite) wait(m *member, n int) {
	s.Helper()
	s.waitFor(m, n)
	if got := len(m.messages()); got > n {
		s.Fatalf("%s received %d messages, want %d", m.self, got, n)
	}
}

// waitFor waits until the member has received n messages or more.
func (s *suite) waitFor(m *member, n int) {
	s.Helper()
	for end := time.Now().Add(timeout); len(m.messages()) < n; s.pump() {
		if time.Now().After(end) {
			s.Fatalf("%s received %d messages, want %d", m.self, len(m.messages()), n)
		}
	}
}

// settle gives unexpected messages time to arrive.
func (s *suite) settle() {
	for range 20 {
		s.pump()
	}
}

func (s *suite) pump() {
	if s.network.Pump == nil {
		time.Sleep(time.Millisecond)
		return
	}
	s.network.Pump()
	runtime.Gosched()
}

func (s *suite) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (m *member) hear(msg channel.Message) {
	m.mu.Lock()
	m.received = append(m.received, msg)
	m.mu.Unlock()
	if m.answer != nil {
		m.answer(msg)
	}
}

func (m *member) messages() []channel.Message {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.received[:len(m.received):len(m.received)]
}

func (m *member) text() string {
	var b []byte
	for _, msg := range m.messages() {
		b = append(b, msg.Payload...)
	}
	return string(b)
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}
