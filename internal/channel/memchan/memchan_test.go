package memchan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/channeltest"
	"github.com/askback/askback/internal/channel/memchan"
	"github.com/askback/askback/msgid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	split0 = msgid.Alias{Operator: "split", Index: 0}
	split1 = msgid.Alias{Operator: "split", Index: 1}
	count3 = msgid.Alias{Operator: "count", Index: 3}
)

func TestConformance(t *testing.T) {
	channeltest.Run(t, func(*testing.T) channeltest.Network {
		networks := map[[2]string]*memchan.Transport{}
		return channeltest.Network{
			Nameless: true,
			Dial: func(prefix, topology string) (channel.Transport, error) {
				name := [2]string{prefix, topology}
				if networks[name] == nil {
					networks[name] = memchan.New(memchan.Config{})
				}
				return networks[name].Process(), nil
			},
			Pump: func() {
				for _, n := range networks {
					n.Drain()
				}
			},
		}
	})
}

// inbox is an endpoint that keeps the messages it receives.
type inbox struct {
	*memchan.Endpoint
	received []string
}

func join(t *testing.T, n channel.Transport, self msgid.Alias) *inbox {
	t.Helper()
	in := &inbox{}
	e, err := n.Join(self, func(m channel.Message) { in.received = append(in.received, string(m.Payload)) })
	if err != nil {
		t.Fatal(err)
	}
	in.Endpoint = e.(*memchan.Endpoint)
	return in
}

func send(t *testing.T, from *inbox, kind channel.Kind, to msgid.Alias, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := from.Send(kind, to, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
}

func wantHeard(t *testing.T, in *inbox, want ...string) {
	t.Helper()
	if !slices.Equal(in.received, want) {
		t.Errorf("received %q, want %q", in.received, want)
	}
}

// Only messages that the caller delivers arrive, in the order that the caller chooses.
func TestCallerChooses(t *testing.T) {
	n := memchan.New(memchan.Config{})
	a, b, to := join(t, n, split0), join(t, n, split1), join(t, n, count3)
	send(t, a, channel.Data, count3, "a1", "a2")
	send(t, b, channel.Data, count3, "b1")
	send(t, a, channel.Control, count3, "c1", "c2")
	if got, want := n.Deliverable(), []int{0, 2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("deliverable %v, want %v: the heads of Data and all of Control", got, want)
	}
	if p := n.Peek(1); string(p.Payload) != "a2" || p.From != split0 || p.To != count3 || p.Endpoint != to.Endpoint {
		t.Errorf("peek: %+v", p)
	}
	wantHeard(t, to)
	for _, i := range []int{1, 3, 0} { // a2 before a1: reordered at will
		if !n.Deliver(i) {
			t.Errorf("deliver %d did not", i)
		}
	}
	wantHeard(t, to, "a2", "c2", "a1")
	if n.Deliver(2) || n.Deliver(-1) {
		t.Error("Deliver succeeded without a message")
	}
	n.Drain()
	wantHeard(t, to, "a2", "c2", "a1", "b1", "c1")
	if n.Pending() != 0 {
		t.Errorf("%d pending after Drain", n.Pending())
	}
}

func TestSeverOneWay(t *testing.T) {
	n := memchan.New(memchan.Config{})
	a, b := join(t, n, split0), join(t, n, count3)
	send(t, a, channel.Data, count3, "on its way")
	n.Sever(split0, count3)
	if n.Deliver(0) {
		t.Error("delivered over a severed way")
	}
	send(t, a, channel.Data, count3, "lost")
	send(t, b, channel.Data, split0, "other way")
	n.Drain()
	n.Heal(split0, count3)
	send(t, a, channel.Data, count3, "healed")
	n.Drain()
	wantHeard(t, a, "other way")
	wantHeard(t, b, "healed")
	if lost := n.Stats().Lost; lost != 2 {
		t.Errorf("lost %d, want 2", lost)
	}
}

// A paused endpoint's messages wait for it, in order; another endpoint of the alias is not held up.
func TestPause(t *testing.T) {
	n := memchan.New(memchan.Config{})
	a, older, newer := join(t, n, split0), join(t, n, count3), join(t, n, count3)
	older.Pause()
	send(t, a, channel.Data, count3, "1", "2")
	n.Drain()
	wantHeard(t, older)
	wantHeard(t, newer, "1", "2")
	if n.Deliver(0) || n.Pending() != 2 {
		t.Error("a paused endpoint's message did not stay pending")
	}
	older.Resume()
	n.Drain()
	wantHeard(t, older, "1", "2")
}

// A delayed message holds up only its Data flow.
func TestDelay(t *testing.T) {
	n := memchan.New(memchan.Config{Rand: rand.New(rand.NewPCG(1, 1)), Faults: memchan.Faults{Delay: 1, MaxDelay: 5}})
	a, to := join(t, n, split0), join(t, n, count3)
	send(t, a, channel.Data, count3, "1")
	n.SetFaults(memchan.Faults{})
	send(t, a, channel.Data, count3, "2")
	send(t, a, channel.Control, count3, "c")
	if got := n.Deliverable(); !slices.Equal(got, []int{2}) {
		t.Errorf("deliverable %v, want only the control message", got)
	}
	n.Advance(5)
	if got := n.Deliverable(); !slices.Equal(got, []int{0, 2}) {
		t.Errorf("deliverable %v after the delay", got)
	}
	n.Drain()
	wantHeard(t, to, "1", "2", "c")
}

// A late message reaches an incarnation that joined after it was sent; the messages that follow it on Data are late
// too.
func TestLate(t *testing.T) {
	n := memchan.New(memchan.Config{Rand: rand.New(rand.NewPCG(1, 1))})
	a, older := join(t, n, split0), join(t, n, count3)
	send(t, a, channel.Data, count3, "0")
	n.SetFaults(memchan.Faults{Late: 1})
	send(t, a, channel.Data, count3, "1")
	n.SetFaults(memchan.Faults{})
	send(t, a, channel.Data, count3, "2")
	newer := join(t, n, count3)
	send(t, a, channel.Data, count3, "3")
	if got := n.Deliverable(); !slices.Equal(got, []int{0}) {
		t.Errorf("deliverable %v, want the one that was routed first", got)
	}
	n.Drain()
	wantHeard(t, older, "0", "1", "2", "3")
	wantHeard(t, newer, "1", "2", "3")
}

// Faults happen as often as they are asked for, the same for the same seed, and Drain in transport order keeps each
// flow of Data in order with any messages lost, doubled or delayed.
func TestFaults(t *testing.T) {
	const messages = 5000
	run := func(seed uint64) ([]string, memchan.Stats) {
		n := memchan.New(memchan.Config{
			Rand:   rand.New(rand.NewPCG(seed, 0)),
			Faults: memchan.Faults{Drop: 0.1, Duplicate: 0.05, Corrupt: 0.02, Delay: 0.1, Late: 0.1},
		})
		a, to := join(t, n, split0), join(t, n, count3)
		for i := range messages {
			send(t, a, channel.Data, count3, fmt.Sprintf("%08d", i))
			if i%7 == 0 {
				n.Advance(1)
				for heads := n.Deliverable(); len(heads) > 0; heads = n.Deliverable() {
					n.Deliver(heads[len(heads)-1])
				}
			}
		}
		n.Drain()
		return to.received, n.Stats()
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	received, stats := run(seed)
	again, _ := run(seed)
	if !slices.Equal(received, again) {
		t.Error("the same seed gave another run")
	}
	about := func(what string, got uint64, p float64) {
		if want := p * messages; float64(got) < want*0.6 || float64(got) > want*1.6 {
			t.Errorf("%s: %d of %d messages, asked for %v", what, got, messages, p)
		}
	}
	about("dropped", stats.Lost, 0.1)
	about("duplicated", stats.Duplicated, 0.05)
	about("damaged", stats.Damaged, 0.02)
	if stats.Delayed == 0 || stats.Late == 0 {
		t.Errorf("stats: %+v", stats)
	}
	if uint64(len(received)) != stats.Delivered || stats.Sent != stats.Delivered {
		t.Errorf("received %d, stats %+v", len(received), stats)
	}
	last, disorder := "", uint64(0)
	for _, text := range received {
		if text < last {
			disorder++
		}
		last = text
	}
	if disorder > stats.Damaged { // a damaged number may look like any other
		t.Errorf("%d messages out of order, %d were damaged", disorder, stats.Damaged)
	}
}

// Deliver functions may leave and join.
func TestLeaveWhileDelivering(t *testing.T) {
	n := memchan.New(memchan.Config{})
	a := join(t, n, split0)
	var e channel.Endpoint
	calls := 0
	e, err := n.Join(count3, func(channel.Message) {
		calls++
		e.Leave()
		join(t, n, split1)
	})
	if err != nil {
		t.Fatal(err)
	}
	send(t, a, channel.Data, count3, "1", "2")
	n.Drain()
	if calls != 1 || n.Pending() != 0 {
		t.Errorf("%d calls, %d pending", calls, n.Pending())
	}
}

func Example() {
	n := memchan.New(memchan.Config{})
	source, _ := n.Join(msgid.Alias{Operator: "split", Index: 1}, func(channel.Message) {})
	_, _ = n.Join(msgid.Alias{Operator: "count", Index: 3}, func(m channel.Message) {
		fmt.Printf("%s from %s: %s\n", m.Kind, m.From, m.Payload)
	})
	_ = source.Send(channel.Data, msgid.Alias{Operator: "count", Index: 3}, []byte("one"))
	_ = source.Send(channel.Data, msgid.Alias{Operator: "count", Index: 3}, []byte("two"))
	fmt.Println("pending", n.Pending())
	n.Deliver(1) // the network reorders
	n.Drain()
	// Output:
	// pending 2
	// data from split.1: two
	// data from split.1: one
}
