package task

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// emission is where a task's tuples become frames.
//
// What one call of Execute emits can be taken back until the call has succeeded: the first emission of a call on
// a channel marks where its open frame stood, and a frame that fills up within the call is held until its end.
type emission struct {
	core    *Core
	main    *stream // the default stream
	streams []*stream
	outlets []outlet
	open    []*outlet // those with a frame that is not empty

	stamp   uint64 // of the running call
	held    bool   // some outlet holds sealed frames
	direct  bool   // frames go out as they fill up: the call is not taken back
	sealed  uint64 // frames sealed so far
	most    int    // bytes of the largest tuple that fits into a message
	birth   int64  // of the root of what is being processed, Unix ns
	err     error  // of the running call: what could not be emitted
	trees   *trees // nil unless the strategy follows tuples
	scratch []byte // for roots
	local   []uint64
}

// A stream is the emitter of one stream, and the sink of its rows.
type stream struct {
	e      *emission
	name   string
	row    *tuple.Row
	routes []route
	// pending is set for the streams of a spout whose tuples are followed.
	pending *pending
}

type route struct {
	router   *topology.Router
	outs     []*outlet
	stateful bool // the router must remember where it stood when the running call began
	stamp    uint64
}

// An outlet is the open frame of one output channel.
type outlet struct {
	port     recovery.Output
	builder  *channel.Builder
	openedAt recovery.Tick
	opened   bool // it is in emission.open
	stamp    uint64
	mark     channel.Place
	held     []channel.Frame

	// Of trees: what the last items of the open frame come of, now and at the mark.
	system   bool // it is the strategy's own: nothing on it belongs to a tree
	root     uint64
	markRoot uint64
	salt     uint64 // of its edges
}

func newEmission(c *Core, inc msgid.Incarnation, at []recovery.Position) emission {
	t := c.cfg.Task
	e := emission{core: c, stamp: 1, most: c.cfg.MaxPayload - channel.HeaderSize, outlets: make([]outlet, len(t.Out))}
	for i, ch := range t.Out {
		e.outlets[i] = outlet{
			port:    recovery.Output(i),
			system:  ch.Source.Operator.System || ch.Target.Operator.System,
			salt:    recovery.EdgeSalt(ch.Number, inc),
			builder: channel.NewBuilder(c.cfg.Plan.Version, ch.Number, inc, at[i].Seq+1, at[i].Sum, c.cfg.FrameSize),
		}
	}
	return e
}

// connect makes the streams. The emission must have its final address by then.
func (e *emission) connect(t *topology.Task) {
	for _, s := range t.Operator.Streams {
		st := &stream{e: e, name: s.Name}
		st.row = tuple.NewRow(s.Fields, st)
		for _, edge := range s.Edges {
			r := topology.NewRouter(edge, t)
			rt := route{router: r, stateful: r.Stateful()}
			for _, ch := range r.Outs() {
				rt.outs = append(rt.outs, &e.outlets[ch.Out])
			}
			st.routes = append(st.routes, rt)
		}
		e.streams = append(e.streams, st)
	}
	e.main = e.on("")
}

// on returns the emitter of a stream; for a stream that is not declared, one that fails and says so.
func (e *emission) on(name string) *stream {
	for _, s := range e.streams {
		if s.name == name {
			return s
		}
	}
	op := e.core.cfg.Task.Operator.Name
	err := fmt.Errorf("task: operator %q emits on stream %q, which it does not declare; add .Stream(%[2]q, fields…) to the topology", op, name)
	if name == "" {
		err = fmt.Errorf("task: operator %q emits, but declares no fields; add .Fields(…) to the topology", op)
	}
	s := &stream{e: e, name: name}
	s.row = tuple.NewBrokenRow(err, s)
	return s
}

// Row implements tuple.Emitter.
func (s *stream) Row() *tuple.Row { return s.row.Begin() }

// Emit implements tuple.Emitter.
func (s *stream) Emit(values ...any) error { return s.Row().Values(values...).Emit() }

// Refuse implements tuple.Refuser.
func (s *stream) Refuse(err error) { s.e.refuse(err) }

// On implements tuple.Emitter.
func (s *stream) On(name string) tuple.Emitter { return s.e.on(name) }

// Take implements tuple.Sink: it routes a row and appends it to the open frames of its channels.
func (s *stream) Take(r *tuple.Row) error {
	e := s.e
	item := r.Encoded()
	if len(item) > e.most {
		return e.refuse(s.tooLarge(len(item)))
	}
	if s.pending != nil { // it is the root of a tree
		e.trees.root = s.pending.begin()
	}
	for i := range s.routes {
		rt := &s.routes[i]
		if rt.stateful {
			if rt.stamp != e.stamp {
				rt.stamp = e.stamp
				rt.router.Mark()
			}
			if rt.router.Asks() {
				e.settle(rt.router)
			}
		}
		k, err := rt.router.Pick(r)
		switch {
		case err != nil:
			return e.refuse(err)
		case k == topology.AllTargets:
			for _, o := range rt.outs {
				e.put(o, item)
			}
		default:
			e.put(rt.outs[k], item)
		}
	}
	if s.pending != nil {
		s.pending.add(item, e.birth, e.core.now)
		e.trees.sent()
	}
	return nil
}

func (s *stream) tooLarge(size int) error {
	return fmt.Errorf("task: a tuple of %d bytes on stream %q of operator %q is larger than a message may be (%d bytes); emit it in parts, or raise the server's max_payload",
		size, s.name, s.e.core.cfg.Task.Operator.Name, s.e.most)
}

// put appends an item to the open frame of a channel.
func (e *emission) put(o *outlet, item []byte) {
	if o.stamp != e.stamp {
		o.stamp = e.stamp
		o.mark = o.builder.Mark()
		o.markRoot = o.root
	}
	if e.trees != nil && !o.system {
		e.trees.anchor(e, o, len(item))
	} else if !o.builder.Fits(len(item)) {
		e.seal(o)
	}
	o.builder.Append(item)
	if !o.opened {
		o.opened = true
		o.openedAt = e.core.now
		o.builder.SetBirth(e.birth)
		e.open = append(e.open, o)
	}
}

// refuse remembers that something could not be emitted: the call fails even if the operator ignores the error.
func (e *emission) refuse(err error) error {
	if e.err == nil {
		e.err = err
	}
	return err
}

// Err returns why something could not be emitted in the running call. An operator that is composed of others asks for it.
func (s *stream) Err() error { return s.e.err }

// seal ends the open frame of a channel, which begins anew.
func (e *emission) seal(o *outlet) {
	if o.builder.Empty() {
		return
	}
	f := o.builder.Seal()
	o.root = 0 // each frame can be read alone
	o.builder.SetBirth(e.birth)
	o.openedAt = e.core.now
	e.sealed++
	if e.direct {
		e.core.step(recovery.Event{Kind: recovery.Sealed, Output: o.port, Frame: f})
		return
	}
	o.held = append(o.held, f)
	e.held = true
}

// next ends a call that succeeded: what it emitted stays.
func (e *emission) next(c *Core) {
	e.stamp++
	if e.held {
		e.release(c)
	}
}

// release lets go of the frames held within a call.
func (e *emission) release(c *Core) {
	e.held = false
	for i := range e.outlets {
		o := &e.outlets[i]
		for k, f := range o.held {
			c.step(recovery.Event{Kind: recovery.Sealed, Output: o.port, Frame: f})
			o.held[k] = channel.Frame{}
		}
		o.held = o.held[:0]
	}
}

// rollback takes back all that the running call emitted.
func (e *emission) rollback(*Core) {
	for i := range e.outlets {
		o := &e.outlets[i]
		switch {
		case o.stamp != e.stamp:
		case len(o.held) > 0:
			o.builder.Reopen(o.held[0], o.mark)
			o.root = o.markRoot
			clear(o.held)
			o.held = o.held[:0]
		default:
			o.builder.Rollback(o.mark)
			o.root = o.markRoot
		}
	}
	for _, s := range e.streams {
		for i := range s.routes {
			if rt := &s.routes[i]; rt.stateful && rt.stamp == e.stamp {
				rt.router.Rollback()
			}
		}
	}
	e.held, e.err = false, nil
	if e.trees != nil {
		e.trees.call = 0
	}
	e.stamp++
}

// sealAll seals every open frame. The operator is not running.
func (e *emission) sealAll(c *Core) {
	e.sealIf(c, func(*outlet) bool { return true })
}

// linger seals the frames that have been open too long.
func (e *emission) linger(c *Core) {
	e.sealIf(c, func(o *outlet) bool { return c.now >= o.openedAt+c.cfg.Linger })
}

func (e *emission) sealIf(c *Core, old func(*outlet) bool) {
	if c.again {
		return // a call is to be repeated: it has been taken back, and other calls of its frame are done
	}
	kept := e.open[:0]
	for _, o := range e.open {
		if !old(o) {
			kept = append(kept, o)
			continue
		}
		o.opened = false
		if o.builder.Empty() {
			continue
		}
		e.sealed++
		o.root = 0
		c.step(recovery.Event{Kind: recovery.Sealed, Output: o.port, Frame: o.builder.Seal()})
	}
	e.open = kept
}

// end appends the end mark to every channel and seals it.
func (e *emission) end(c *Core) {
	mark := tuple.AppendEnd(nil)
	for i := range e.outlets {
		e.put(&e.outlets[i], mark)
	}
	e.sealAll(c)
}
