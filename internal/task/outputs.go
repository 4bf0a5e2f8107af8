package task

import (
	"fmt"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/acker/tracking"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// outputs are where a task's tuples become frames. They know neither the machine nor the core: the core takes the
// frames that they have sealed, and reports them.
//
// All outputs of a call of the operator can be taken back until the call has ended: the first output of a call on a channel
// marks the position in the open frame, and a frame that fills up within the call stays in sealed until its end.
type outputs struct {
	operator string  // its name, for errors
	main     *stream // the default stream
	streams  []*stream
	channels []outputChannel  // by recovery.Output
	open     []*outputChannel // those with a frame that is not empty
	sealed   []sealedFrame    // and not taken by the core, in order

	call  uint64 // the number of the running call
	most  int    // bytes of the largest tuple that fits into a message
	limit string // the setting that bounds it
	now   recovery.Tick
	birth int64 // of the root of the tuple that is being processed, Unix ns
	err   error // of the running call: the error of an Emit

	settle func(*topology.Router) // gives a router that asks for it the targets that are local

	tracker *tracking.Tracker // nil unless the strategy follows tuples
	scratch []byte            // for roots
}

// A stream is the emitter of one stream, and the sink of its rows.
type stream struct {
	to     *outputs
	name   string
	row    *tuple.Row
	routes []route
	roots  bool // its tuples are roots of trees, which the tracker follows
}

type route struct {
	router   *topology.Router
	outs     []*outputChannel
	stateful bool   // the router must remember its state at the beginning of the running call
	call     uint64 // in which it has done so last
}

// An outputChannel is the open frame of one output channel.
type outputChannel struct {
	number   recovery.Output
	builder  *channel.Builder
	openedAt recovery.Tick
	opened   bool   // it is in outputs.open
	call     uint64 // in which mark was set last
	mark     channel.Place

	// Tuple trees: the root of the open frame's last item, now and at the mark.
	followed bool
	root     uint64
	markRoot uint64
	salt     uint64 // of its edges
}

// A sealedFrame is a full frame, or one that was closed before.
type sealedFrame struct {
	output recovery.Output
	frame  channel.Frame
}

// newOutputs returns the outputs of a task, which continue from the positions at.
func newOutputs(cfg *Config, inc msgid.Incarnation, at []recovery.Position) *outputs {
	t := cfg.Task
	o := &outputs{
		operator: t.Operator.Name, call: 1, most: cfg.MaxPayload - channel.HeaderSize, channels: make([]outputChannel, len(t.Out)),
		limit: "the server's max_payload",
	}
	if cfg.MaxPayload == cfg.mostReceived() {
		o.limit = "the hard bound or the window of the topology's settings"
	}
	for i, ch := range t.Out {
		o.channels[i] = outputChannel{
			number:  recovery.Output(i),
			builder: channel.NewBuilder(cfg.Plan.Version, ch.Number, inc, at[i].Seq+1, at[i].Sum, cfg.FrameSize),
		}
	}
	for _, s := range t.Operator.Streams {
		st := &stream{to: o, name: s.Name}
		st.row = tuple.NewRow(s.Fields, st)
		for _, edge := range s.Edges {
			r := topology.NewRouter(edge, t)
			rt := route{router: r, stateful: r.Stateful()}
			for _, ch := range r.Outs() {
				rt.outs = append(rt.outs, &o.channels[ch.Out])
			}
			st.routes = append(st.routes, rt)
		}
		o.streams = append(o.streams, st)
	}
	o.main = o.on("")
	return o
}

// follow has the tracker follow a task's outputs, except those for the strategy itself.
func (o *outputs) follow(t *topology.Task, inc msgid.Incarnation, tracker *tracking.Tracker) {
	o.tracker = tracker
	o.most -= tuple.RootSize
	for i, ch := range t.Out {
		o.channels[i].followed = !ch.Source.Operator.System && !ch.Target.Operator.System
		o.channels[i].salt = tracking.EdgeSalt(ch.Number, inc)
	}
	for _, s := range o.streams {
		s.roots = t.Operator.Spout != nil && s.name != tracking.Stream
	}
}

// on returns the emitter of a stream; for an undeclared stream, one that fails with that error.
func (o *outputs) on(name string) *stream {
	for _, s := range o.streams {
		if s.name == name {
			return s
		}
	}
	err := fmt.Errorf("task: operator %q emits on stream %q, which it does not declare; add .Stream(%[2]q, fields…) to the topology", o.operator, name)
	if name == "" {
		err = fmt.Errorf("task: operator %q emits, but declares no fields; add .Fields(…) to the topology", o.operator)
	}
	s := &stream{to: o, name: name}
	s.row = tuple.NewBrokenRow(err, s)
	return s
}

// Row implements tuple.Emitter.
func (s *stream) Row() *tuple.Row { return s.row.Begin() }

// Emit implements tuple.Emitter.
func (s *stream) Emit(values ...any) error { return s.Row().Values(values...).Emit() }

// Refuse implements tuple.Refuser.
func (s *stream) Refuse(err error) { s.to.refuse(err) }

// On implements tuple.Emitter.
func (s *stream) On(name string) tuple.Emitter { return s.to.on(name) }

// Take implements tuple.Sink: it routes a row and appends it to the open frames of its channels.
func (s *stream) Take(r *tuple.Row) error {
	o := s.to
	item := r.Encoded()
	if len(item) > o.most {
		return o.refuse(s.tooLarge(len(item)))
	}
	if s.roots {
		o.tracker.Begin()
	}
	for i := range s.routes {
		rt := &s.routes[i]
		if rt.stateful {
			if rt.call != o.call {
				rt.call = o.call
				rt.router.Mark()
			}
			if rt.router.Asks() {
				o.settle(rt.router)
			}
		}
		k, err := rt.router.Pick(r)
		switch {
		case err != nil:
			return o.refuse(err)
		case k == topology.AllTargets:
			for _, ch := range rt.outs {
				o.put(ch, item)
			}
		default:
			o.put(rt.outs[k], item)
		}
	}
	if s.roots {
		o.tracker.Emitted(item, o.birth, o.now)
	}
	return nil
}

func (s *stream) tooLarge(size int) error {
	return fmt.Errorf("task: a tuple of %d bytes on stream %q of operator %q is larger than a message may be (%d bytes); emit it in parts, or raise %s",
		size, s.name, s.to.operator, s.to.most, s.to.limit)
}

// put appends an item to the open frame of a channel.
func (o *outputs) put(ch *outputChannel, item []byte) {
	if ch.call != o.call {
		ch.call = o.call
		ch.mark = ch.builder.Mark()
		ch.markRoot = ch.root
		if ch.builder.Empty() {
			ch.openedAt = o.now
			ch.builder.SetBirth(o.birth)
		}
	}
	if ch.followed {
		o.anchor(ch, len(item))
	} else if !ch.builder.Fits(len(item)) {
		o.sealChannel(ch)
	}
	ch.builder.Append(item)
	if !ch.opened {
		ch.opened = true
		o.open = append(o.open, ch)
	}
}

// anchor makes room for an item in the open frame of a channel, and writes its root, unless the items before it have the
// same.
func (o *outputs) anchor(ch *outputChannel, size int) {
	root := o.tracker.Root()
	if ch.root != root {
		size += tuple.RootSize
	}
	if !ch.builder.Fits(size) {
		o.sealChannel(ch)
	}
	if ch.root != root {
		ch.root = root
		o.scratch = tuple.AppendRoot(o.scratch[:0], root)
		ch.builder.Append(o.scratch)
	}
	if root != 0 {
		o.tracker.Anchored(ch.number, ch.salt, ch.builder.Next())
	}
}

// refuse remembers that a tuple could not be emitted: the call fails even if the operator ignores the error.
func (o *outputs) refuse(err error) error {
	if o.err == nil {
		o.err = err
	}
	return err
}

// Err returns the error of the running call's outputs. An operator that is composed of others reads it.
func (s *stream) Err() error { return s.to.err }

// sealChannel ends the open frame of a channel, which begins anew.
func (o *outputs) sealChannel(ch *outputChannel) {
	if ch.builder.Empty() {
		return
	}
	o.sealed = append(o.sealed, sealedFrame{ch.number, ch.builder.Seal()})
	ch.root = 0 // each frame can be read alone
	ch.builder.SetBirth(o.birth)
	ch.openedAt = o.now
}

// rollback takes back all outputs of the running call.
func (o *outputs) rollback() {
	for i := range o.channels {
		ch := &o.channels[i]
		if ch.call != o.call {
			continue
		}
		if first, ok := o.firstSealed(ch.number); ok {
			ch.builder.Reopen(first, ch.mark)
		} else {
			ch.builder.Rollback(ch.mark)
		}
		ch.root = ch.markRoot
	}
	for _, s := range o.streams {
		for i := range s.routes {
			if rt := &s.routes[i]; rt.stateful && rt.call == o.call {
				rt.router.Rollback()
			}
		}
	}
	o.taken()
	o.err = nil
	if o.tracker != nil {
		o.tracker.TakenBack()
	}
	o.call++
}

// firstSealed returns the first frame of a channel that the running call has sealed.
func (o *outputs) firstSealed(number recovery.Output) (first channel.Frame, ok bool) {
	for i := range o.sealed {
		if o.sealed[i].output == number {
			return o.sealed[i].frame, true
		}
	}
	return channel.Frame{}, false
}

// taken drops the sealed frames: the core has them, or they are void.
func (o *outputs) taken() {
	clear(o.sealed)
	o.sealed = o.sealed[:0]
}

// seal ends the open frames that have been open for that long. The operator is not running.
func (o *outputs) seal(age recovery.Tick) {
	kept := o.open[:0]
	for _, ch := range o.open {
		if o.now < ch.openedAt+age {
			kept = append(kept, ch)
			continue
		}
		ch.opened = false
		if !ch.builder.Empty() {
			o.sealed = append(o.sealed, sealedFrame{ch.number, ch.builder.Seal()})
			ch.root = 0
		}
	}
	o.open = kept
}

// end appends the end mark to every channel and seals it.
func (o *outputs) end() {
	mark := tuple.AppendEnd(nil)
	for i := range o.channels {
		o.put(&o.channels[i], mark)
	}
	o.seal(0)
}
