package bench

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// A meter stands beside a running topology. Its sources report each emission to it, its sinks each arrival, and it
// computes when each tuple was due. It outlives tasks that are killed, but not the process.
//
// Tuples are numbered: of s sources, source j emits the numbers j, j+s, j+2s …, so a number determines both its
// source and the moment when it was due.
type meter struct {
	due      time.Time // when number 0 is due
	stop     time.Time // when sources without a rate have emitted enough
	rate     float64   // numbers a second of all sources together; 0: as many as possible
	restores bool      // the strategy restores what a bolt had
	resumed  bool      // an earlier process has done a part

	// One number of each block is timed: timing all would cost more than the work that is measured.
	block, blockMask int64
	timeAll          bool // few arrive, so all are timed
	// Sinks show their counters to others every so many tuples: showing costs as much as counting.
	showMask uint64

	sources []emitted
	sinks   []*arrivals
	frozen  atomic.Pointer[chan struct{}]

	timing  sync.Mutex
	window  *hdrhistogram.Histogram // since the last call of latencies, µs
	overall *hdrhistogram.Histogram
}

// timed is how many numbers a second are timed at the least, if there are as many.
const timed = 4000

// newMeter returns a meter for a run with this many sources and sinks.
func newMeter(spec *Spec, sources, sinks int, restores bool) *meter {
	m := &meter{
		rate: spec.Rate, restores: restores, resumed: spec.Resume != nil,
		block: 1, sources: make([]emitted, sources),
		window: newHistogram(), overall: newHistogram(),
	}
	if spec.Rate == 0 {
		m.block = blockSize
	}
	for m.rate > 0 && m.rate/float64(m.block) > 2*timed {
		m.block = max(64, 2*m.block)
	}
	if m.blockMask = m.block - 1; m.rate == 0 || m.rate > 1e5 {
		m.showMask = 63
	}
	for range sinks {
		m.sinks = append(m.sinks, &arrivals{m: m})
	}
	for j := range m.sources {
		if spec.Resume != nil && len(spec.Resume.From) == sources {
			m.sources[j].from = spec.Resume.From[j]
		}
	}
	return m
}

func newHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(10*time.Minute/time.Microsecond), 3)
}

// start sets when number 0 is due, and when the run is over.
func (m *meter) start(due, stop time.Time) { m.due, m.stop = due, stop }

// total is how many numbers a paced run has.
func (m *meter) total() int64 { return int64(m.stop.Sub(m.due).Seconds() * m.rate) }

// sampled reports whether the latency of a number is measured: one of each block, in turn from each source.
func (m *meter) sampled(n int64) bool { return n&m.blockMask == n/blockSize&63&m.blockMask }

// freeze makes the sinks take nothing until thaw.
func (m *meter) freeze() {
	c := make(chan struct{})
	m.frozen.Store(&c)
}

func (m *meter) thaw() {
	if c := m.frozen.Swap(nil); c != nil {
		close(*c)
	}
}

// record notes how long a number took from the moment when it was due.
func (m *meter) record(n int64) {
	var birth time.Time
	if m.rate > 0 {
		birth = m.due.Add(time.Duration(float64(n) / m.rate * float64(time.Second)))
	} else {
		var ok bool
		for i := range m.sources { // one of them has the block's birth
			if birth, ok = m.sources[i].born(n); ok {
				break
			}
		}
		if !ok {
			return
		}
	}
	us := max(1, time.Since(birth).Microseconds())
	m.timing.Lock()
	defer m.timing.Unlock()
	_ = m.window.RecordValue(us)
	_ = m.overall.RecordValue(us)
}

// latencies returns what was measured since it was last called, in µs.
func (m *meter) latencies() (n int64, p50, p99, most int64) {
	m.timing.Lock()
	defer m.timing.Unlock()
	h := m.window
	n, p50, p99, most = h.TotalCount(), h.ValueAtQuantile(50), h.ValueAtQuantile(99), h.Max()
	if n > 0 {
		h.Reset()
	}
	return n, p50, p99, most
}

// settled forgets the latencies of the warm-up.
func (m *meter) settled() {
	m.timing.Lock()
	defer m.timing.Unlock()
	m.overall.Reset()
}

// latency returns what was measured since settled.
func (m *meter) latency() Latency {
	m.timing.Lock()
	defer m.timing.Unlock()
	h := m.overall
	return Latency{Timed: h.TotalCount(), P50: h.ValueAtQuantile(50), P99: h.ValueAtQuantile(99), P999: h.ValueAtQuantile(99.9), Most: h.Max()}
}

// blockSize is the block of numbers of which one is timed when there is no rate.
const blockSize = 1024

// emitted is the account of one source.
type emitted struct {
	from   int64        // where a source begins that the strategy does not restore: an earlier process had emitted the rest
	n      atomic.Int64 // the most calls that any incarnation made
	end    atomic.Int64 // how many calls it makes in all, plus one; 0: not decided yet
	births [4096]struct{ block, at atomic.Int64 }
}

// bear notes when a number was emitted, the first time.
func (e *emitted) bear(n int64, now time.Time) {
	b := &e.births[n/blockSize%int64(len(e.births))]
	b.at.Store(now.UnixNano())
	b.block.Store(n/blockSize + 1)
}

// born returns when the block of a number was emitted.
func (e *emitted) born(n int64) (at time.Time, ok bool) {
	b := &e.births[n/blockSize%int64(len(e.births))]
	if b.block.Load() != n/blockSize+1 {
		return at, false // too long ago, or in another process
	}
	return time.Unix(0, b.at.Load()), true
}

// arrivals is the account of one sink task. Its count and print are part of the task's state: a strategy that restores
// tasks sets them back with it. The other counters only grow.
type arrivals struct {
	m            *meter
	count, print uint64
	repeats      uint64
	distinct     uint64
	seen         seenSet
	done         bool
	shown        atomic.Uint64 // how far it is: goes up only when there is something new
	all          atomic.Uint64 // with repeats
}

// begin is for Prepare: an incarnation begins with nothing, unless the strategy does not restore it. Then it goes
// on from where the last one ended, since results that have arrived stay.
func (a *arrivals) begin() {
	if a.done = false; a.m.restores {
		a.count, a.print = 0, 0
	}
}

// arrive notes a number.
func (a *arrivals) arrive(n int64) {
	a.wait()
	a.count++
	a.print += mix(uint64(n))
	if !a.seen.add(n) {
		a.repeats++
		return
	}
	if a.distinct++; a.distinct&a.m.showMask == 0 {
		a.show(a.distinct)
	}
	if a.m.timeAll || a.m.sampled(n) {
		a.m.record(n)
	}
}

// tick notes a tuple without a number. A tuple that a restored task counts again is not new.
func (a *arrivals) tick() {
	a.wait()
	if a.count++; a.count&a.m.showMask == 0 && a.count > a.distinct {
		a.distinct = a.count
		a.show(a.distinct)
	}
}

// time times a number that did not arrive by arrive. A number that a restored task receives again is not timed again.
func (a *arrivals) time(n int64) {
	if a.count >= a.distinct {
		a.m.record(n)
	}
}

func (a *arrivals) show(n uint64) {
	a.shown.Store(n)
	a.all.Store(n + a.repeats)
}

// wait waits while the sinks are frozen.
func (a *arrivals) wait() {
	if c := a.m.frozen.Load(); c != nil {
		<-*c
	}
}

// finish shows the last tuples.
func (a *arrivals) finish() {
	if a.seen.blocks == nil { // it only ticked
		a.distinct = max(a.distinct, a.count)
	}
	a.show(a.distinct)
	a.done = true
}

// snapshot and restore are the state of the task.
func (a *arrivals) snapshot() []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, a.count), a.print)
}

func (a *arrivals) restore(data []byte) error {
	count, n := binary.Uvarint(data)
	if n <= 0 {
		return errors.New("bench: damaged snapshot of a sink")
	}
	print, k := binary.Uvarint(data[n:])
	if k <= 0 {
		return errors.New("bench: damaged snapshot of a sink")
	}
	a.count, a.print = count, print
	if a.m.resumed && a.distinct < count { // by the process before
		a.distinct = count
		a.show(count)
	}
	return nil
}

// mix scatters a number, so that the sum over a set identifies the set.
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return n ^ n>>31
}

// A seenSet is a set of numbers that come nearly in order: a bit for each.
type seenSet struct{ blocks []*[1 << 13]uint64 }

const perBlock = 64 << 13

// add reports whether n is new.
func (s *seenSet) add(n int64) bool {
	for int64(len(s.blocks)) <= n/perBlock {
		s.blocks = append(s.blocks, new([1 << 13]uint64))
	}
	w, bit := &s.blocks[n/perBlock][n%perBlock/64], uint64(1)<<(n&63)
	if *w&bit != 0 {
		return false
	}
	*w |= bit
	return true
}

// merge adds another set.
func (s *seenSet) merge(o *seenSet) {
	for b, block := range o.blocks {
		if b == len(s.blocks) {
			s.blocks = append(s.blocks, new([1 << 13]uint64))
		}
		for w := range block {
			s.blocks[b][w] |= block[w]
		}
	}
}

func (s *seenSet) has(n int64) bool {
	b := n / perBlock
	return b < int64(len(s.blocks)) && s.blocks[b][n%perBlock/64]>>(n&63)&1 == 1
}

func (s *seenSet) len() (n int64) {
	for _, block := range s.blocks {
		for _, w := range block {
			n += int64(bits.OnesCount64(w))
		}
	}
	return n
}

// A verdict compares a run's results with those of a plain sequential program.
type verdict struct {
	Expected, Lost, Duplicated int64
}

// checkNumbers compares what arrived with what was emitted; yields reports which numbers have a result.
func (m *meter) checkNumbers(prior *Resume, yields func(n int64) bool) (v verdict, err error) {
	var all seenSet
	var count, print, wantPrint uint64
	for i, a := range m.sinks {
		if !a.done {
			return v, fmt.Errorf("sink %d did not finish", i)
		}
		count, print = count+a.count, print+a.print
		all.merge(&a.seen)
	}
	never := int64(0)
	for j := range m.sources {
		for n := int64(j); n < m.sources[j].n.Load()*int64(len(m.sources))+int64(j); n += int64(len(m.sources)) {
			if !yields(n) {
				continue
			}
			v.Expected++
			wantPrint += mix(uint64(n))
			if !all.has(n) {
				never++
			}
		}
	}
	if !m.restores { // results that arrived count, even if a task has lost its state
		arrived, distinct := int64(count), all.len()
		if prior != nil {
			arrived, distinct = arrived+prior.Arrived, distinct+prior.Distinct
		}
		v.Lost, v.Duplicated = v.Expected-distinct, arrived-distinct
		return v, nil
	}
	if int64(count) == v.Expected && print == wantPrint {
		return v, nil
	}
	if m.resumed {
		never = 0 // the process before has seen the rest
	}
	missing := v.Expected - int64(count)
	v.Lost = max(never, missing, 0)
	v.Duplicated = v.Lost - missing
	if v.Lost == 0 && v.Duplicated == 0 {
		return v, errors.New("as many results as there should be, but not the same")
	}
	return v, nil
}

// compare returns how two counts of the same keys differ.
func compare[K comparable](got, want map[K]int64) (v verdict) {
	for k, n := range want {
		v.Expected += n
		v.Lost += max(0, n-got[k])
	}
	for k, n := range got {
		v.Duplicated += max(0, n-want[k])
	}
	return v
}
