package stream

import (
	"context"
	"io"
	"reflect"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/state"
)

// Process adds a step with state and any number of inputs. New makes the processor of each task, a value of any type P;
// inputs join its methods to the streams whose values they take:
//
//	type Join struct{ orders *stream.State[string, Order] }
//
//	func (j *Join) Open(c *stream.Context) (err error) {
//		j.orders, err = stream.OpenState[string, Order](c, "orders")
//		return err
//	}
//	func (j *Join) Order(c *stream.Context, o Order, out func(Paid)) error     { … }
//	func (j *Join) Payment(c *stream.Context, p Payment, out func(Paid)) error { … }
//
//	paid := stream.Process("join", func() *Join { return new(Join) },
//		stream.OnKeyed(stream.KeyBy(orders, Order.ID), (*Join).Order),
//		stream.OnKeyed(stream.KeyBy(payments, Payment.OrderID), (*Join).Payment))
//
// A processor keeps its state in a State (OpenState), in a map of package state, or in its snapshot, as a bolt.Snapshotter;
// fields of its own are empty again in a restored task. Its methods must be deterministic: time and chance come from the
// Context. If P has a method Open(*Context) error, it is called first.
//
// One goroutine calls all methods of a processor. An error fails the topology unless the step declares another policy.
func Process[P, Out any](name string, new func() P, inputs ...Input[P, Out]) Stream[Out] {
	var t *Topology
	for _, in := range inputs {
		if t == nil {
			t = in.t
		}
	}
	if t == nil {
		panic("stream: Process " + name + " reads no stream: give it an input, such as On")
	}
	n := t.add(name, step)
	n.keeps = true
	s, out := outputOf[Out](n)
	var takes []func(x *instance, c *Context, p P, next func(Out)) any // each makes the push of a port
	var ticks []func(P, *Context, time.Time, func(Out)) error
	var ends []func(P, *Context, func(Out)) error
	for _, in := range inputs {
		switch {
		case in.none:
			t.reject(name, "the method of an input is nil: give one")
		case in.take != nil:
			n.ports = append(n.ports, in.port)
			takes = append(takes, in.take)
		case in.tick != nil && in.every < time.Millisecond:
			t.reject(name, "OnTick(%v): take at least 1ms", in.every)
		case in.tick != nil:
			if n.tick != 0 && n.tick != in.every {
				t.reject(name, "ticks at two intervals, %v and %v: take one", n.tick, in.every)
			}
			n.tick = in.every
			ticks = append(ticks, in.tick)
		case in.end != nil:
			ends = append(ends, in.end)
		default:
			t.reject(name, "an input is the zero Input: make it with On, OnKeyed, OnTick or OnEnd")
		}
	}
	if len(n.ports) == 0 {
		t.reject(name, "reads no stream: give it an input, such as On")
	}
	n.checkPorts()
	if new == nil {
		t.reject(name, "the function that makes its processors is nil")
		return s
	}
	n.make = func(x *instance) []any {
		next := x.push(out).(push[Out]).of
		p := new()
		c := &Context{x: x, node: n}
		own := x.part(n)
		own.writer = closing(p)
		own.prepare = func(ctx bolt.Context) error {
			c.Context = ctx
			if o, ok := any(p).(interface{ Open(*Context) error }); ok {
				return o.Open(c)
			}
			return nil
		}
		own.tick = func(now time.Time) {
			for _, tick := range ticks {
				if x.err == nil {
					if err := tick(p, c, now, next); err != nil {
						x.setErr(x.named(own, err))
					}
				}
			}
		}
		own.finish = func() {
			for _, end := range ends {
				if x.err == nil {
					if err := end(p, c, next); err != nil {
						x.setErr(x.named(own, err))
					}
				}
			}
		}
		ports := make([]any, len(takes))
		for i, take := range takes {
			ports[i] = take(x, c, p, next)
		}
		return ports
	}
	return s
}

// closing returns the processor as the runtime may call it besides its inputs' methods: with the optional interfaces of a
// bolt that concern state and resources, except Tick and Finish, which are inputs.
func closing(p any) any {
	switch p := p.(type) {
	case bolt.Committer, bolt.Snapshotter:
		return p
	}
	if c, ok := p.(io.Closer); ok {
		return onlyClose{c}
	}
	return nil
}

type onlyClose struct{ io.Closer }

// An Input joins one input of a Process to a method of its processor: values of a stream (On, OnKeyed), an interval
// (OnTick) or the end of all streams (OnEnd).
type Input[P, Out any] struct {
	t     *Topology
	port  port
	none  bool                                                   // the method is nil
	take  func(x *instance, c *Context, p P, next func(Out)) any // makes a push
	every time.Duration
	tick  func(P, *Context, time.Time, func(Out)) error
	end   func(P, *Context, func(Out)) error
}

// On calls f for each value of a stream. The tasks of the step share the values, as Broadcast, Global and Rebalance choose.
func On[P, T, Out any](in Stream[T], f func(p P, c *Context, v T, out func(Out)) error) Input[P, Out] {
	return inputOf(in.topology("of On"), in.in(), f)
}

// OnKeyed calls f for each value of a stream by key: the values with equal keys come to the same task.
func OnKeyed[P, K, T, Out any](in Keyed[K, T], f func(p P, c *Context, v T, out func(Out)) error) Input[P, Out] {
	return inputOf(in.in.topology("of OnKeyed"), in.port(), f)
}

func inputOf[P, T, Out any](t *Topology, p port, f func(P, *Context, T, func(Out)) error) Input[P, Out] {
	return Input[P, Out]{t: t, port: p, none: f == nil, take: func(x *instance, c *Context, p P, next func(Out)) any {
		return inPlace(func(v *T) {
			if x.err != nil {
				return
			}
			if err := f(p, c, *v, next); err != nil {
				x.fail(c.node, err, summary(v))
			}
		})
	}}
}

// OnTick calls f on an interval of at least a millisecond. The time is recorded: a restored task is ticked at the same
// place with the same time.
func OnTick[P, Out any](every time.Duration, f func(p P, c *Context, now time.Time, out func(Out)) error) Input[P, Out] {
	return Input[P, Out]{every: every, tick: f, none: f == nil}
}

// OnEnd calls f once when all streams that the step reads have ended.
func OnEnd[P, Out any](f func(p P, c *Context, out func(Out)) error) Input[P, Out] {
	return Input[P, Out]{end: f, none: f == nil}
}

// A Context gives a processor the identity of its task, and time and chance that a replay repeats: the methods of
// bolt.Context. It belongs to the task's goroutine.
type Context struct {
	bolt.Context
	x    *instance
	node *node
	tags map[*tagging]any // a func(T) each; nil if no step reads the side output
}

// Done returns the context of the running call, which ends when the task is stopped. A method that waits for an outside
// system must return when it ends.
func (c *Context) Done() context.Context { return c.x.ctx }

var _ state.Opener = (*Context)(nil)

// A Tag names a side output of processors, of values of type T. Make it once, with NewTag; Emit emits a value, and Side is
// the stream of these values.
type Tag[T any] struct{ tagging *tagging }

type tagging struct {
	name string
	typ  *valueType
}

// NewTag makes a side output's tag. The name is for errors and for the printed plan.
func NewTag[T any](name string) Tag[T] { return Tag[T]{&tagging{name: name, typ: typeOf[T]()}} }

// Emit emits a value on the side. It fails the call if no step reads the side output.
func (t Tag[T]) Emit(c *Context, v T) {
	to, ok := c.tags[t.tagging]
	if !ok {
		to = t.side(c)
	}
	if next, ok := to.(func(T)); ok {
		next(v)
		return
	}
	t.unread(c, v)
}

// unread fails the call for a value that no step reads.
func (t Tag[T]) unread(c *Context, v T) {
	c.x.fail(c.node, errUnread{t.tagging.name, c.node.name}, summary(&v))
}

// side makes the receiver of the side output's values, when the processor first emits one.
func (t Tag[T]) side(c *Context) any {
	if c.tags == nil {
		c.tags = make(map[*tagging]any)
	}
	c.tags[t.tagging] = nil
	for _, o := range c.node.outputs {
		if o.tag == t.tagging && c.x.op.read(o) {
			before := len(c.x.emits)
			c.tags[t.tagging] = c.x.push(o).(push[T]).of
			for _, e := range c.x.emits[before:] {
				e.bind(c.x.out)
			}
		}
	}
	return c.tags[t.tagging]
}

type errUnread struct{ tag, step string }

func (e errUnread) Error() string {
	return "no step reads the side output " + e.tag + " of step " + e.step + ": read it with stream.Side, or do not emit on it"
}

// Side returns the stream of the values that a Process emits on the side under a tag.
func Side[T, U any](of Stream[T], tag Tag[U]) Stream[U] {
	n := of.producer("Side")
	if n == nil || tag.tagging == nil {
		of.topology("of Side").reject("", "Side of a stream that is not a Process's: give it the stream of a Process, and a tag made by NewTag")
		return Stream[U]{t: of.t}
	}
	for _, o := range n.outputs {
		if o.tag == tag.tagging {
			return Stream[U]{t: n.t, from: []edge{{from: o}}}
		}
	}
	s, o := outputOf[U](n)
	o.tag = tag.tagging
	return s
}

// A Dead is a value that a step could not process.
type Dead[T any] struct {
	ID     string // the message id
	Reason string // the text of the last error, cut to 1 KiB
	Value  T
}

// DeadLetters declares that a value which the step cannot process goes to the returned stream, with the reason, and is
// counted; the step continues with the next value. T is the type of the step's input, of which it must have one. Some step
// must read the stream.
func DeadLetters[T, U any](of Stream[U]) Stream[Dead[T]] {
	n := of.producer("DeadLetters")
	if n == nil {
		return Stream[Dead[T]]{t: of.topology("of DeadLetters")}
	}
	return deadOf[T](n)
}

func deadOf[T any](n *node) Stream[Dead[T]] {
	n.declareDead(reflect.TypeFor[T]().String(), typeOf[T]())
	s, o := outputOf[Dead[T]](n)
	o.dead = true
	o.typ = deadType[T]()
	return s
}
