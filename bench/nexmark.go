package bench

import (
	"context"
	"math"
	"math/rand/v2"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A query is one of Nexmark's that need no windows.
type query struct {
	name   string
	fields []string
	ask    func(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error
	yields func(b *bids, n int64) bool
}

// Fields of a bid. The number stands for the moment of the bid, too: bids come at a steady rate.
const (
	auction = iota
	bidder
	price
	number
	extra
)

var bidFields = []string{"auction", "bidder", "price", "n", "extra"}

// q0 passes bids on: it measures what everything costs that is not a query.
var query0 = query{
	name: "nexmark-q0", fields: bidFields,
	ask: func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		return out.Row().Int(t.Int(auction)).Int(t.Int(bidder)).Int(t.Int(price)).Int(t.Int(number)).Bytes(t.Bytes(extra)).Emit()
	},
}

// q1 turns dollars into euros.
var query1 = query{
	name: "nexmark-q1", fields: bidFields,
	ask: func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		euros := t.Float(price) * 0.908
		return out.Row().Int(t.Int(auction)).Int(t.Int(bidder)).Float(euros).Int(t.Int(number)).Bytes(t.Bytes(extra)).Emit()
	},
}

// q2 selects the bids on some auctions.
var query2 = query{
	name: "nexmark-q2", fields: []string{"auction", "price", "n"},
	ask: func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		a := t.Int(auction)
		if a%selected != 0 {
			return nil
		}
		return out.Row().Int(a).Int(t.Int(price)).Int(t.Int(number)).Emit()
	},
	yields: func(b *bids, n int64) bool { return b.auction(n)%selected == 0 },
}

const selected = 123

// nexmark is bids → query → sink.
func nexmark(q query) func(s *Spec, restores bool) (*job, error) {
	return func(s *Spec, restores bool) (*job, error) {
		j := numbered(s, restores, s.Parallel, s.Parallel)
		gen := newBids(s.Seed)
		b := topology.New(q.name)
		b.Spout("bids", j.feed(gen.emit)).Parallel(s.Parallel).Fields(bidFields...)
		s.middle(b.Bolt("query", bolt.Func(q.ask))).Shuffle("bids").Fields(q.fields...)
		at := number
		if q.yields != nil {
			at = len(q.fields) - 1
			j.filters, j.timeAll = true, true
			j.check = func(prior *Resume) (verdict, error) {
				return j.checkNumbers(prior, func(n int64) bool { return q.yields(gen, n) })
			}
		}
		b.Bolt("sink", j.take(at)).Parallel(s.Parallel).GroupBy("query", "n")
		j.topology = b
		return j, nil
	}
}

// bids generates bids after Nexmark's model: of 50 events 3 open an auction and 46 are bids, half of which go to the
// newest "hot" auction; most bidders are among the newest, too; prices are spread evenly over six decimal powers; a
// bid has about 100 bytes. All random numbers are drawn beforehand.
type bids struct{ drawn [1 << 14]drawnBid }

type drawnBid struct {
	hot, hotBidder bool
	back           int64 // how many auctions ago, if it is not the hot one
	bidder, price  int64
	extra          []byte
}

const (
	firstAuction, firstPerson = 1000, 1000
	inFlight                  = 100 // auctions that are open at a time
	active                    = 1000
	hotEvery                  = 100
)

func newBids(seed uint64) *bids {
	r := rand.New(rand.NewPCG(seed, 1))
	g := new(bids)
	for i := range g.drawn {
		d := &g.drawn[i]
		d.hot, d.hotBidder = r.IntN(2) > 0, r.IntN(4) > 0
		d.back, d.bidder = r.Int64N(inFlight), r.Int64N(active)
		d.price = int64(math.Round(math.Pow(10, r.Float64()*6) * 100))
		d.extra = make([]byte, 50+r.IntN(30))
		for k := range d.extra {
			d.extra[k] = byte('a' + r.IntN(26))
		}
	}
	return g
}

// auction returns the auction of bid n.
func (g *bids) auction(n int64) int64 {
	d := &g.drawn[n&int64(len(g.drawn)-1)]
	newest := n * 3 / 46
	if d.hot {
		return firstAuction + newest/hotEvery*hotEvery
	}
	return firstAuction + max(0, newest-d.back)
}

func (g *bids) emit(n int64, out spout.Emitter) error {
	d := &g.drawn[n&int64(len(g.drawn)-1)]
	newest := n / 46
	who := max(0, newest-d.bidder)
	if d.hotBidder {
		who = newest/hotEvery*hotEvery + 1
	}
	return out.Row().Int(g.auction(n)).Int(firstPerson + who).Int(d.price).Int(n).Bytes(d.extra).Emit()
}
