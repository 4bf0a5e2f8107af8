package stream

import (
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/codec"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/state"
)

// A Keyed is a stream by key: the values with equal keys come to the same task of the step that reads it.
type Keyed[K, T any] struct {
	in    Stream[T]
	key   func(T) K
	route *keying
	every time.Duration
}

// A keying is the routing of a stream's values by key.
type keying struct {
	name string     // of the key's type
	err  error      // the reason for which the type cannot be a key
	text func() any // makes a func(T) []byte for one task, which encodes the key
}

// KeyBy groups a stream by the key that f computes. A key is text, bytes, a number, a truth value, a time, or an array or
// a struct of these. F must be deterministic and cheap: it is called where a value is sent and where it arrives. A []byte
// that it returns may be part of its argument.
func KeyBy[K, T any](in Stream[T], f func(T) K) Keyed[K, T] {
	k := Keyed[K, T]{key: f, route: &keying{name: typeName[K]()}}
	k.in = Stream[T]{t: in.topology("KeyBy")}
	if f == nil {
		in.t.reject("", "KeyBy: its function is nil: give one")
	}
	keys, err := codec.KeyOf[K]()
	k.route.err = err
	k.route.text = func() any { return keyText(keys, f) }
	for _, e := range in.from {
		if e.grouping != forward {
			in.t.reject(e.from.node.name, "KeyBy of a stream that Rebalance, Broadcast or Global has regrouped: remove one of the two")
		}
		e.grouping, e.key = keyed, k.route
		k.in.from = append(k.in.from, e)
	}
	return k
}

// Every sets an interval of at least a millisecond at which the aggregation of the stream emits the results that have
// changed since the last one. All results are emitted when the input has ended.
func (k Keyed[K, T]) Every(interval time.Duration) Keyed[K, T] {
	if interval < time.Millisecond {
		k.in.t.reject("", "Every(%v): take at least 1ms", interval)
		return k
	}
	k.every = interval
	return k
}

// port makes the port of a step that reads the stream by key.
func (k Keyed[K, T]) port() port { return port{edges: k.in.from, typ: typeOf[T](), key: k.route} }

// keyText returns a function that encodes the key of a value. The result is valid until the next call.
func keyText[K, T any](keys *codec.Key[K], f func(T) K) func(T) []byte {
	if bytes, ok := any(f).(func(T) []byte); ok {
		return bytes // the key is its own text
	}
	var buf []byte
	key := new(K)
	return func(v T) []byte {
		*key = f(v)
		buf = keys.Append(buf[:0], key)
		return buf
	}
}

// An Entry is a key with its value.
type Entry[K, V any] struct {
	Key   K
	Value V
}

// Count counts the values of each key. It emits the totals when its input has ended, in the order in which the keys came
// first; with Every it emits changed totals meanwhile.
func (k Keyed[K, T]) Count(name string) Stream[Entry[K, int64]] {
	return aggregate(k, name, func(f *folding[K, int64, int64], text func(T) []byte) push[T] {
		return push[T]{of: func(v T) { *f.states.At(text(v))++ }, at: func(v *T) { *f.states.At(text(*v))++ }}
	}, func(n *int64, _ T) { *n++ }, func(n *int64) int64 { return *n })
}

// Reduce combines the values of each key: f is given the result so far and the next value; the first value is the first
// result. T must not hold []byte, which is valid during one call only: use string. See Count for when results are emitted.
func Reduce[K, T any](k Keyed[K, T], name string, f func(sum, v T) T) Stream[Entry[K, T]] {
	if holdsBytes(reflect.TypeFor[T](), nil) {
		k.in.t.reject(name, "Reduce keeps values of %s, which holds []byte that is valid during one call only: use string, or Aggregate with a copy", typeName[T]())
	}
	var add func(*reduced[T], T)
	if f != nil {
		add = func(sum *reduced[T], v T) {
			if !sum.Some {
				sum.Some, sum.Value = true, v
				return
			}
			sum.Value = f(sum.Value, v)
		}
	}
	return aggregate(k, name, nil, add, func(sum *reduced[T]) T { return sum.Value })
}

// reduced is the state of a reduction.
type reduced[T any] struct {
	Some  bool
	Value T
}

// Aggregate folds the values of each key into an accumulator of type A, which begins as its zero value. Add must be
// deterministic. It must copy a []byte of v that it keeps. A must be a type that package state can store. See Count for
// when results are emitted.
func Aggregate[K, T, A any](k Keyed[K, T], name string, add func(acc *A, v T)) Stream[Entry[K, A]] {
	return aggregate(k, name, nil, add, func(acc *A) A { return *acc })
}

// aggregate adds the step. Fast, if there is one, makes add for a task whose changes are not marked, with a call less.
func aggregate[K, T, S, A any](k Keyed[K, T], name string, fast func(*folding[K, S, A], func(T) []byte) push[T],
	add func(*S, T), result func(*S) A) Stream[Entry[K, A]] {
	n := k.in.topology(name).add(name, step, k.port())
	n.keeps, n.tick = true, k.every
	n.needs(add != nil)
	s, out := outputOf[Entry[K, A]](n)
	n.make = func(x *instance) []any {
		next := x.push(out).(push[Entry[K, A]]).of
		keys, err := codec.KeyOf[K]()
		if err != nil {
			return []any{inPlace(func(*T) { x.setErr(bolt.Permanent(err)) })} // Build has reported it
		}
		f := &folding[K, S, A]{x: x, name: name, keys: keys, result: result, next: next, changes: n.tick > 0}
		p := x.part(n)
		p.prepare, p.finish = f.open, f.finish
		p.tick = func(time.Time) { f.flush() }
		text := keyText(keys, k.key)
		if f.changes {
			return []any{inPlace(func(v *T) { add(f.changed(text(*v)), *v) })}
		}
		if fast != nil {
			return []any{fast(f, text)}
		}
		return []any{inPlace(func(v *T) { add(f.states.At(text(*v)), *v) })}
	}
	return s
}

// A folding is an aggregation in one task.
type folding[K, S, A any] struct {
	x       *instance
	name    string
	keys    *codec.Key[K]
	result  func(*S) A
	next    func(Entry[K, A])
	states  *state.Map[string, S]
	changes bool
	marks   *state.Map[string, bool] // the keys that have changed since the last flush
	buf     []byte
}

func (f *folding[K, S, A]) open(ctx bolt.Context) (err error) {
	if f.states, err = state.Open[string, S](ctx, "results"); err != nil || !f.changes {
		return err
	}
	f.marks, err = state.Open[string, bool](ctx, "changed")
	return err
}

// changed returns the state of a key, and marks it for the next flush.
func (f *folding[K, S, A]) changed(key []byte) *S {
	*f.marks.At(key) = true
	return f.states.At(key)
}

// flush emits the changed values.
func (f *folding[K, S, A]) flush() {
	for key := range f.marks.All() {
		if s, ok := f.states.Get(key); ok {
			f.put(key, &s)
		}
		f.marks.Delete(key)
	}
}

// finish emits all values.
func (f *folding[K, S, A]) finish() {
	for key, s := range f.states.All() {
		f.put(key, &s)
		if f.x.err != nil {
			return
		}
	}
}

func (f *folding[K, S, A]) put(key string, s *S) {
	f.buf = append(f.buf[:0], key...) // a copy: the value may hold a view of it, and the map's own keys must not change
	var e Entry[K, A]
	if err := f.keys.Decode(f.buf, &e.Key); err != nil {
		f.x.setErr(bolt.Permanent(err))
		return
	}
	e.Value = f.result(s)
	f.next(e)
}

// A State is keyed state of a Process: values of type V by keys of type K, which may be any type that KeyBy takes. It is
// part of the task's snapshots. Entries are kept in the order in which they were inserted. A value that Get or All returns,
// or At points to, is valid until the next call.
type State[K, V any] struct {
	keys   *codec.Key[K]
	values *state.Map[string, V]
	key    *K
	buf    []byte
}

// OpenState opens keyed state by a name that is unique within the step; a restored task finds its entries. It is called in
// Open of a processor.
func OpenState[K, V any](ctx *Context, name string) (*State[K, V], error) {
	keys, err := codec.KeyOf[K]()
	if err != nil {
		return nil, err
	}
	if !msgid.ValidName(name) {
		return nil, fmt.Errorf("open state %.80q: %w: want 1 to 64 of A-Z a-z 0-9 _ -", name, state.ErrName)
	}
	values, err := state.Open[string, V](ctx, name)
	if err != nil {
		return nil, err
	}
	return &State[K, V]{keys: keys, values: values, key: new(K)}, nil
}

// text encodes a key. It shares the state's buffer.
func (s *State[K, V]) text(k K) string {
	*s.key = k
	s.buf = s.keys.Append(s.buf[:0], s.key)
	return unsafe.String(unsafe.SliceData(s.buf), len(s.buf))
}

// At returns the value of k for reading and changing, and makes a zero value if there is none.
func (s *State[K, V]) At(k K) *V {
	s.text(k)
	return s.values.At(s.buf)
}

// Get returns the value of k, and whether there is one.
func (s *State[K, V]) Get(k K) (V, bool) {
	s.text(k)
	return s.values.Peek(s.buf)
}

// Put sets the value of k.
func (s *State[K, V]) Put(k K, v V) { *s.At(k) = v }

// Delete removes k, and reports whether it was there.
func (s *State[K, V]) Delete(k K) bool { return s.values.Delete(s.text(k)) }

// Len returns the number of entries.
func (s *State[K, V]) Len() int { return s.values.Len() }

// All returns the entries, in the order in which they were inserted: the same order in a replay and after a restore.
func (s *State[K, V]) All() func(yield func(K, V) bool) {
	return func(yield func(K, V) bool) {
		var buf []byte
		for text, v := range s.values.All() {
			buf = append(buf[:0], text...)
			var k K
			if err := s.keys.Decode(buf, &k); err != nil || !yield(k, v) {
				return
			}
		}
	}
}
