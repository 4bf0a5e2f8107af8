package stream

import (
	"time"

	"github.com/askback/askback/topology"
)

// A Stream is the output of a step: values of type T on their way to the steps that read it. It is a description, valid
// while the topology is declared; any number of steps may read it.
//
// The methods Parallel, Isolate, Retry and Drop change the step that emits the stream, and return the stream, so that calls
// chain.
type Stream[T any] struct {
	t    *Topology
	from []edge
}

// Parallel sets how many tasks the step has, 1 to topology.MaxParallel. The default is as many as the step's first input
// has; for a source, and for a step that reads a Global stream, 1.
func (s Stream[T]) Parallel(tasks int) Stream[T] {
	if n := s.producer("Parallel"); n != nil {
		n.setParallel(tasks)
	}
	return s
}

// Isolate keeps the step apart: it is an operator of its own, and values travel to it and from it encoded.
func (s Stream[T]) Isolate() Stream[T] {
	if n := s.producer("Isolate"); n != nil {
		n.isolated = true
	}
	return s
}

// Retry tries a value again that the step cannot process, at most that many times, backoff apart. Such a step begins an
// operator of its own, so that no other step's state is changed twice.
func (s Stream[T]) Retry(times int, backoff time.Duration) Stream[T] {
	if n := s.producer("Retry"); n != nil {
		n.setRetry(times, backoff)
	}
	return s
}

// Drop drops and counts a value that the step cannot process. The default is that the topology fails. Such a step begins an
// operator of its own.
func (s Stream[T]) Drop() Stream[T] {
	if n := s.producer("Drop"); n != nil {
		n.policies = append(n.policies, topology.Drop)
	}
	return s
}

// Rebalance returns the stream dealt out evenly to the tasks of the steps that read it, which are not fused with it.
func (s Stream[T]) Rebalance() Stream[T] { return s.grouped(rebalance) }

// Broadcast returns the stream with every value sent to every task of the steps that read it.
func (s Stream[T]) Broadcast() Stream[T] { return s.grouped(broadcast) }

// Global returns the stream with every value sent to the first task of the steps that read it, which have one task unless
// Parallel sets another number.
func (s Stream[T]) Global() Stream[T] { return s.grouped(global) }

func (s Stream[T]) grouped(g grouping) Stream[T] {
	to := Stream[T]{t: s.t}
	for _, e := range s.from {
		e.grouping, e.key = g, nil
		to.from = append(to.from, e)
	}
	return to
}

// producer returns the one step that emits the stream, or nil after rejecting the call.
func (s Stream[T]) producer(method string) *node {
	switch {
	case s.t == nil:
		return nil // its reader reports that
	case len(s.from) != 1:
		s.t.reject("", "%s on the merge of several streams: call it on the step that reads them", method)
		return nil
	case s.from[0].from.tag != nil || s.from[0].from.dead:
		s.t.reject(s.from[0].from.node.name, "%s on a side output: call it on the step's own stream", method)
		return nil
	}
	return s.from[0].from.node
}

func (n *node) setParallel(tasks int) {
	if tasks < 1 || tasks > topology.MaxParallel {
		n.t.reject(n.name, "Parallel(%d): take 1 to %d", tasks, topology.MaxParallel)
		return
	}
	n.parallel = tasks
}

func (n *node) setRetry(times int, backoff time.Duration) {
	if times < 1 || backoff < 0 {
		n.t.reject(n.name, "Retry(%d, %v): take at least one retry, and a pause that is not negative", times, backoff)
		return
	}
	n.retry = topology.Retry{Times: times, Backoff: backoff}
}

// in makes the port of a step that reads the stream.
func (s Stream[T]) in() port { return port{edges: s.from, typ: typeOf[T]()} }

// topology returns the topology to which a step that reads the stream is added. It panics on the zero Stream, which no
// topology could report.
func (s Stream[T]) topology(step string) *Topology {
	if s.t == nil {
		panic("stream: step " + step + " reads the zero Stream: begin with From")
	}
	return s.t
}

// outputOf adds an output of type T to a step and returns it as a stream.
func outputOf[T any](n *node) (Stream[T], *output) {
	o := &output{node: n, typ: typeOf[T]()}
	n.outputs = append(n.outputs, o)
	return Stream[T]{t: n.t, from: []edge{{from: o}}}, o
}

// Merge returns a stream of the values of several streams, in no order between them. The streams are of one topology.
func Merge[T any](streams ...Stream[T]) Stream[T] {
	var all Stream[T]
	for _, s := range streams {
		if all.t == nil {
			all.t = s.t
		}
		all.from = append(all.from, s.from...)
	}
	return all
}
