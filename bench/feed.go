package bench

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
)

// feed returns the source of a workload. Emit emits the tuple of a number, which must follow from the number alone.
func (m *meter) feed(emit func(n int64, out spout.Emitter) error) spout.Source {
	return spout.Func(func() spout.Spout { return &feed{m: m, emit: emit} })
}

// A feed is a spout that keeps to the meter's schedule and reports each emission to it. It catches up with tuples that
// could not be emitted when they were due, so that no pause is left out of a latency.
type feed struct {
	m         *meter
	emit      func(n int64, out spout.Emitter) error
	to        *emitted
	index, of int64
	next      int64 // calls made
}

// Open learns which numbers are this task's.
func (f *feed) Open(ctx bolt.Context) error {
	f.index, f.of = int64(ctx.Task().Alias.Index), int64(len(f.m.sources))
	f.to = &f.m.sources[f.index]
	f.next = f.to.from
	return nil
}

// Next emits a few tuples that are due.
func (f *feed) Next(_ context.Context, out spout.Emitter) error {
	now := time.Now()
	ready, ended := f.ready(now)
	switch {
	case f.next >= ready && ended:
		return io.EOF
	case f.next >= ready:
		return spout.ErrIdle
	}
	most := f.to.n.Load()
	for until := min(ready, f.next+64); f.next < until; f.next++ {
		n := f.next*f.of + f.index
		if f.next >= most && f.m.sampled(n) {
			f.to.bear(n, now)
		}
		if err := f.emit(n, out); err != nil {
			return err
		}
	}
	if f.next > most {
		f.to.n.Store(f.next)
	}
	return nil
}

// ready returns how many calls are due by now, and whether they are all there will be.
func (f *feed) ready(now time.Time) (calls int64, ended bool) {
	share := func(numbers int64) int64 { return max(0, (numbers-f.index+f.of-1)/f.of) }
	if f.m.rate > 0 && now.Before(f.m.stop.Add(grace)) {
		all := share(f.m.total())
		due := share(int64(now.Sub(f.m.due).Seconds()*f.m.rate) + 1)
		return min(due, all), due >= all
	}
	// Where the end is was decided once: a restored spout must end there again.
	if end := f.to.end.Load(); end > 0 {
		return end - 1, true
	}
	if now.Before(f.m.stop) {
		return f.next + 64, false
	}
	if most := f.to.n.Load(); f.next < most { // what an earlier incarnation has emitted is emitted again in any case
		return most, false
	}
	f.to.end.Store(f.next + 1)
	return f.next, true
}

// grace is how long a source that could not keep up goes on to catch up. After that it leaves out the rest.
const grace = 2 * time.Second

// Position appends the number of calls made.
func (f *feed) Position(dst []byte) []byte { return binary.AppendUvarint(dst, uint64(f.next)) }

// Seek goes to a position.
func (f *feed) Seek(position []byte) error {
	n, k := binary.Uvarint(position)
	if f.to == nil || k <= 0 {
		return errors.Join(spout.ErrPosition, fmt.Errorf("bench: %x", position))
	}
	f.next = int64(n)
	return nil
}
