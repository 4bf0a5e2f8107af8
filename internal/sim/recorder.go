package sim

import (
	"context"
	"encoding/binary"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A recorder runs an operator of package stream, and keeps its history as an operator of the row shapes does: the items
// that reached it, whatever its steps made of them. Its other methods are those that the operator has.
type recorder struct {
	k     *typed
	inner bolt.Bolt
	parts map[*step]any // the state of the steps
	alias msgid.Alias
	plan  *topology.Task

	id   msgid.ID // of the running call
	call history  // of the running call: it counts when the call has succeeded
	past history
	maps *state.Map[uint64, string] // the past, of an operator that has no state of its own form
}

func newRecorder(k *typed, b bolt.Bolt, parts map[*step]any) *recorder {
	return &recorder{k: k, inner: b, parts: parts}
}

// bolt returns the recorder with the optional interfaces of its operator.
func (r *recorder) bolt() bolt.Bolt {
	switch r.inner.(type) {
	case bolt.Committer:
		return committingRecorder{snapshottingRecorder{r}}
	case bolt.Snapshotter:
		return snapshottingRecorder{r}
	}
	return r
}

// A recording is an operator that has a recorder.
type recording interface{ recorded() *recorder }

func (r *recorder) recorded() *recorder { return r }

func (r *recorder) Prepare(ctx bolt.Context) (err error) {
	r.alias = ctx.Task().Alias
	r.plan = r.k.w.plan.Task(r.alias)
	if _, whole := r.inner.(bolt.Snapshotter); !whole {
		if r.maps, err = state.Open[uint64, string](ctx, "recorded"); err != nil {
			return err
		}
	}
	own := &recordedContext{Context: ctx, r: r}
	if r.k.w.scenario.Bug == StateApart && r.maps == nil {
		own.apart = state.NewStore()
	}
	if b, ok := r.inner.(bolt.Preparer); ok {
		return b.Prepare(own)
	}
	return nil
}

// history returns the items that the operator has consumed.
func (r *recorder) history() (h history) {
	if r.maps == nil {
		return r.past
	}
	for _, text := range r.maps.All() {
		if m, _, err := readMoment([]byte(text)); err == nil {
			h = append(h, m)
		}
	}
	return h
}

// run runs a call of the operator that begins with a moment.
func (r *recorder) run(m moment, f func() error) error {
	before := r.k.running
	r.k.running = r
	defer func() { r.k.running = before }()
	r.call = append(r.call[:0], m)
	if err := f(); err != nil {
		return err
	}
	for _, m := range r.call {
		if r.maps == nil {
			r.past = append(r.past, m)
		} else {
			r.maps.Put(uint64(r.maps.Len()), string(m.append(nil)))
		}
	}
	return nil
}

// Execute implements bolt.Bolt.
func (r *recorder) Execute(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
	r.id = t.ID()
	m := moment{kind: tupleMoment, port: portOf(r.plan, r.id), seq: uint64(r.id.Seq), data: append([]byte(nil), t.Encoded()...)}
	return r.run(m, func() error {
		err := r.inner.Execute(ctx, t, out)
		for tries := 0; err != nil && r.k.w.scenario.Bug == RetryUpstream && tries < 20 && !bolt.IsOutage(err); tries++ {
			err = r.inner.Execute(ctx, t, out)
		}
		return err
	})
}

// Tick implements bolt.Ticker.
func (r *recorder) Tick(ctx context.Context, now time.Time, out bolt.Emitter) error {
	return r.run(moment{kind: tickMoment, value: uint64(now.UnixNano())}, func() error {
		return r.inner.(bolt.Ticker).Tick(ctx, now, out)
	})
}

// Finish implements bolt.Finisher.
func (r *recorder) Finish(ctx context.Context, out bolt.Emitter) error {
	return r.run(moment{kind: finishMoment}, func() error {
		if b, ok := r.inner.(bolt.Finisher); ok {
			return b.Finish(ctx, out)
		}
		return nil
	})
}

func (r *recorder) note(kind momentKind, v uint64) uint64 {
	r.call = append(r.call, moment{kind: kind, value: v})
	return v
}

type snapshottingRecorder struct{ *recorder }

func (r snapshottingRecorder) Snapshot() ([]byte, error) {
	own, err := r.inner.(bolt.Snapshotter).Snapshot()
	if err != nil {
		return nil, err
	}
	return append(r.past.append(nil), own...), nil
}

func (r snapshottingRecorder) Restore(b []byte) (err error) {
	if r.past, b, err = readHistory(b); err != nil {
		return err
	}
	if r.k.w.scenario.Bug == PartsSwapped {
		b = swapped(b)
	}
	return r.inner.(bolt.Snapshotter).Restore(b)
}

// swapped returns the state of an operator whose first two parts have changed places.
func swapped(b []byte) []byte {
	var parts [][]byte
	for rest := b; len(rest) > 0; {
		n, k := binary.Uvarint(rest)
		if k <= 0 || n > uint64(len(rest)-k) {
			return b
		}
		parts = append(parts, rest[:k+int(n)])
		rest = rest[k+int(n):]
	}
	if len(parts) < 2 {
		return b
	}
	parts[0], parts[1] = parts[1], parts[0]
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

type committingRecorder struct{ snapshottingRecorder }

func (r committingRecorder) Commit() error { return r.inner.(bolt.Committer).Commit() }

// A recordedContext notes the times and random numbers that the operator draws.
type recordedContext struct {
	bolt.Context
	r     *recorder
	apart *state.Store // of bug StateApart: the keyed state, which no snapshot holds
}

func (c *recordedContext) State() *state.Store {
	if c.apart != nil {
		return c.apart
	}
	return c.Context.State()
}

func (c *recordedContext) Now() time.Time {
	return time.Unix(0, int64(c.r.note(nowMoment, uint64(c.Context.Now().UnixNano()))))
}

func (c *recordedContext) Rand() uint64 { return c.r.note(randMoment, c.Context.Rand()) }

// A recordedSpout is the spout of an operator of package stream, with the source of roots in it.
type recordedSpout struct {
	spout.Spout
	k   *typed
	src *source
}

func newRecordedSpout(k *typed, s spout.Spout, parts map[*step]any) *recordedSpout {
	r := &recordedSpout{Spout: s, k: k}
	for _, p := range parts {
		if roots, ok := p.(*rootReader); ok {
			r.src = &roots.source
		}
	}
	return r
}

// Open implements spout.Opener.
func (r *recordedSpout) Open(ctx bolt.Context) error {
	if o, ok := r.Spout.(spout.Opener); ok {
		return o.Open(ctx)
	}
	return nil
}

// Next implements spout.Spout.
func (r *recordedSpout) Next(ctx context.Context, out spout.Emitter) error {
	r.k.running = nil
	return r.Spout.Next(ctx, out)
}

// sourceOf returns the source of an instance's roots, nil if it is no spout.
func sourceOf(in *instance) *source {
	switch s := in.core.Operator().(type) {
	case *source:
		return s
	case *recordedSpout:
		return s.src
	}
	return nil
}
