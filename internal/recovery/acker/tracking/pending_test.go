package tracking

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/askback/askback/internal/recovery"
)

// emit emits a tuple whose text is its number, on two channels.
func (p *Pending) emit(now recovery.Tick) (root uint64) {
	root = p.begin()
	p.went(3)
	p.went(int32(p.emitted % 7))
	p.add(fmt.Append(nil, p.emitted+1), 1, now)
	return root
}

// again emits the overdue tuple again and returns the new root.
func (p *Pending) again(t *testing.T, now recovery.Tick) (root, nth uint64, ok bool) {
	x, ok := p.overdue(now)
	if !ok {
		return 0, 0, false
	}
	if string(x.Item) != fmt.Sprint(x.Nth) || len(x.Outputs) != 2 || x.Outputs[0] != 3 || x.Outputs[1] != int32((x.Nth-1)%7) {
		t.Fatalf("tuple %d comes again as %q on %v", x.Nth, x.Item, x.Outputs)
	}
	root = p.begin()
	for _, output := range x.Outputs {
		p.went(output)
	}
	p.keep(x, now)
	return root, x.Nth, true
}

// The position that is stored is never behind a tuple that is pending, and gets to the end when all are processed,
// whatever order they are processed in, and however often they are emitted again.
func TestPendingPosition(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		// Numbers begin anew in between.
		p := newPending(50, 1<<20, 20)
		p.base = RootBase(1, 1)
		p.next = -uint32(r.IntN(3000))
		p.first = p.next
		open := map[uint64]uint64{} // root to tuple
		var oldest []uint64         // by tuple: 1 while it is open
		at := func() (n uint64) { _, _ = fmt.Sscan(string(p.position), &n); return n }
		for now := recovery.Tick(1); now < 2000; now++ {
			for range r.IntN(5) {
				if !p.full() && p.emitted < 3000 {
					open[p.emit(now)] = p.emitted
					oldest = append(oldest, 1)
				}
			}
			p.Polled(fmt.Append(nil, p.emitted))
			for range r.IntN(6) {
				for root, nth := range open { // any one
					if nth%17 == 0 && r.IntN(50) > 0 {
						continue // these take long
					}
					if _, ok := p.Complete(root - p.base + RootBase(1, 2)); ok {
						t.Fatalf("seed %d: tuple %d completes by the root of another incarnation", seed, nth)
					}
					if got, ok := p.Complete(root); !ok || got != nth {
						t.Fatalf("seed %d: root of tuple %d completes %d, %v", seed, nth, got, ok)
					}
					if _, ok := p.Complete(root); ok {
						t.Fatalf("seed %d: tuple %d completes twice", seed, nth)
					}
					delete(open, root)
					oldest[nth-1] = 0
					break
				}
			}
			for {
				root, nth, ok := p.again(t, now)
				if !ok {
					break
				}
				for was, n := range open {
					if n == nth {
						delete(open, was)
						if _, ok := p.Complete(was); ok {
							t.Fatalf("seed %d: tuple %d completes by the root that was given up", seed, nth)
						}
					}
				}
				open[root] = nth
			}
			for nth, o := range oldest[:at()] {
				if o == 1 {
					t.Fatalf("seed %d: tuple %d is pending, the position is behind %d", seed, nth+1, at())
				}
			}
			if p.open != len(open) || p.open > 50 || len(p.window) > 256 || len(p.late) > 100 {
				t.Fatalf("seed %d: %d pending, %d open, window %d, late %d", seed, len(open), p.open, len(p.window), len(p.late))
			}
		}
		for root := range open {
			p.Complete(root)
		}
		if p.open != 0 || p.bytes != 0 || at() != p.emitted || p.oldest() != nil || p.DueAt() != 0 {
			t.Fatalf("seed %d: at the end %d tuples of %d bytes are pending, the position is behind %d of %d", seed, p.open, p.bytes, at(), p.emitted)
		}
	}
}

// One stuck tuple does not hold up the others, and the number of remembered calls is bounded too.
func TestPendingStraggler(t *testing.T) {
	p := newPending(100, 1<<20, 1_000_000)
	p.position = []byte("0")
	straggler := p.emit(1)
	p.Polled([]byte("1"))
	for n := range 3 * maxPolls {
		root := p.emit(2)
		p.Polled(fmt.Append(nil, n+2))
		if _, ok := p.Complete(root); !ok || p.full() {
			t.Fatal("it holds up others")
		}
	}
	if string(p.position) != "0" || len(p.polls) > 2*maxPolls || len(p.late) != 1 || len(p.window) > 256 {
		t.Errorf("position %s, %d polls, %d late, window %d", p.position, len(p.polls), len(p.late), len(p.window))
	}
	if nth, ok := p.Complete(straggler); !ok || nth != 1 {
		t.Error("it does not get on at last")
	}
	if want := fmt.Sprint(3*maxPolls + 1); string(p.position) != want {
		t.Errorf("position %s, want %s", p.position, want)
	}
}

func TestPendingAllocatesLittle(t *testing.T) {
	p := newPending(1000, 1<<20, 1_000_000)
	position, item := []byte("x"), []byte("some tuple of a few bytes")
	n := testing.AllocsPerRun(100, func() {
		for range 1000 {
			root := p.begin()
			p.went(1)
			p.add(item, 1, 1)
			p.Polled(position)
			p.Complete(root)
		}
	})
	if n > 3 {
		t.Errorf("%v allocations per 1000 tuples", n)
	}
}
