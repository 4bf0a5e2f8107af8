package sim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A logic is the computation of an operator. It must follow from the fold and the input, so that the oracle can compute it
// again. Every tuple of a simulation has the fields root, value and pad.
type logic struct {
	tuple  func(f *fold, in input, out output)
	tick   func(f *fold, now int64, out output)
	finish func(f *fold, out output)

	keyed  bool          // state is kept in state.Map, else in a Snapshotter
	commit bool          // a transactional sink
	every  time.Duration // of tick, in typed shapes
}

// An output takes the tuples that a logic emits.
type output interface {
	emit(root string, value uint64)
	direct(root string, value uint64, target int) // to a task that the logic names
	on(stream string) output
}

// rows emits a logic's output as rows.
type rows struct{ tuple.Emitter }

func (r rows) emit(root string, value uint64) { emit(r.Emitter, root, value) }

func (r rows) direct(root string, value uint64, target int) {
	_ = r.Row().String(root).Uint(value).Bytes(nil).To(target).Emit()
}

func (r rows) on(stream string) output { return rows{r.On(stream)} }

// input is a tuple as a logic sees it.
type input struct {
	root  string
	value uint64
	port  int

	now, rand func() uint64 // recorded determinants
	luck      func() uint64 // unrecorded chance
}

// A fold is the state of a logic.
type fold struct {
	sum  uint64
	n    uint64
	keys table
	self msgid.Alias
}

// A table counts by key and remembers the order in which keys came.
type table interface {
	add(key string, n uint64) uint64
	all(func(key string, n uint64))
}

// mix continues the fold's sum, which depends on the order of all inputs.
func (f *fold) mix(s string, v uint64) uint64 {
	f.n++
	f.sum = uint64(crc32.Update(uint32(f.sum), crc32.IEEETable, binary.LittleEndian.AppendUint64([]byte(s), v)))
	return f.sum
}

func hashOf(s string) uint64 { return uint64(crc32.ChecksumIEEE([]byte(s))) }

// emit emits a tuple whose length follows from its root.
func emit(out tuple.Emitter, root string, value uint64) {
	_ = out.Row().String(root).Uint(value).Bytes(make([]byte, padding(root))).Emit() // the emitter remembers errors
}

// padding is how long the third field of a tuple is.
func padding(root string) int {
	h := hashOf(root)
	if h%61 == 0 {
		return 700 // larger than some frames
	}
	return int(h % 40)
}

// operator runs a logic in a task, and records its history.
type operator struct {
	world *World
	logic *logic
	ctx   bolt.Context
	alias msgid.Alias
	plan  *topology.Task

	fold fold
	past history
	maps *maps // if keyed

	batches
}

// batches are the state of a transactional sink: the input since the last Snapshot, and the batch that the last Snapshot
// closed, with its number.
type batches struct {
	staged, closed history
	batch          uint64
	committed      bool
}

// close closes the staged items, and appends all to a snapshot.
func (s *batches) close(b []byte) []byte {
	if s.committed {
		s.closed, s.committed = nil, false
		s.batch++
	}
	s.closed = append(s.closed, s.staged...) // items that an abandoned snapshot had closed are still here
	s.staged = nil
	return s.closed.append(binary.AppendUvarint(b, s.batch))
}

// read reads the result of close.
func (s *batches) read(b []byte) (rest []byte, err error) {
	n, k := binary.Uvarint(b)
	if k <= 0 {
		return nil, errHistory
	}
	s.batch = n
	s.closed, rest, err = readHistory(b[k:])
	return rest, err
}

// newOperator returns the bolt of one task, with the optional methods that its logic has.
func newOperator(w *World, l *logic) bolt.Bolt {
	o := &operator{world: w, logic: l}
	switch {
	case l.commit:
		return committing{snapshotting{o}}
	case l.keyed:
		return finishing{o}
	default:
		return snapshotting{o}
	}
}

func (o *operator) Prepare(ctx bolt.Context) error {
	o.ctx, o.alias = ctx, ctx.Task().Alias
	o.plan = o.world.plan.Task(o.alias)
	o.fold.self = o.alias
	if !o.logic.keyed {
		o.fold.keys = &list{}
		return nil
	}
	var err error
	o.maps, err = openMaps(ctx)
	o.fold.keys = o.maps
	return err
}

// meet appends to the history.
func (o *operator) meet(m moment) {
	if o.maps != nil {
		o.maps.meet(m)
	} else {
		o.past = append(o.past, m)
	}
}

// begin loads the fold from the keyed state, and save stores it there.
func (o *operator) begin() {
	if o.maps != nil {
		o.fold.sum, o.fold.n = o.maps.get("sum"), o.maps.get("n")
	}
}

func (o *operator) save() {
	if o.maps != nil {
		o.maps.set("sum", o.fold.sum)
		o.maps.set("n", o.fold.n)
	}
}

var errPoison = errors.New("sim: poison")

// Execute implements bolt.Bolt.
func (o *operator) Execute(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	port, seq := portOf(o.plan, t.ID()), uint64(t.ID().Seq)
	in := input{root: t.String(0), port: port}
	if o.logic != morgue {
		in.value = t.Uint(1)
	}
	poison := o.plan.Operator.Retry.Times > 0 && o.world.poisons(o.plan.Operator.Name, t.ID(), in.root)
	if poison && in.value%2 == 0 {
		return o.world.poisoned(t.ID())
	}
	o.world.panics(o.alias)
	o.begin()
	before := o.fold
	o.meet(moment{kind: tupleMoment, port: port, seq: seq, data: append([]byte(nil), t.Encoded()...)})
	in.now = func() uint64 { return o.note(nowMoment, uint64(o.ctx.Now().UnixNano())) }
	in.rand = func() uint64 { return o.note(randMoment, o.ctx.Rand()) }
	in.luck = func() uint64 { return o.note(luckMoment, o.world.luck.Uint64()) }
	met := len(o.past)
	o.logic.tuple(&o.fold, in, rows{out})
	if poison { // it fails at the end: its outputs and draws must leave no trace; it restores its state itself
		o.past, o.fold = o.past[:met-1], before
		return o.world.poisoned(t.ID())
	}
	o.save()
	if o.plan.Sink() {
		o.world.reached(o.alias, in.root)
	}
	if o.logic.commit {
		o.staged = append(o.staged, moment{kind: tupleMoment, port: port, seq: seq})
	}
	return nil
}

// portOf returns by which input a tuple has come.
func portOf(t *topology.Task, id msgid.ID) int {
	for i, ch := range t.In {
		if ch.ID == id.Channel {
			return i
		}
	}
	panic(fmt.Sprintf("sim: tuple of foreign channel %v", id))
}

func (o *operator) note(kind momentKind, v uint64) uint64 {
	o.meet(moment{kind: kind, value: v})
	return v
}

// Tick implements bolt.Ticker.
func (o *operator) Tick(_ context.Context, now time.Time, out bolt.Emitter) error {
	o.begin()
	o.meet(moment{kind: tickMoment, value: uint64(now.UnixNano())})
	if o.logic.tick != nil {
		o.logic.tick(&o.fold, now.UnixNano(), rows{out})
	}
	o.save()
	return nil
}

// Finish implements bolt.Finisher.
func (o *operator) Finish(_ context.Context, out bolt.Emitter) error {
	o.begin()
	o.meet(moment{kind: finishMoment})
	if o.logic.finish != nil {
		o.logic.finish(&o.fold, rows{out})
	}
	o.save()
	return nil
}

// state returns the history and the encoded fold.
func (o *operator) state() (history, []byte) {
	past := o.past
	if o.maps != nil {
		past = o.maps.history()
	}
	o.begin()
	return past, o.fold.append(nil)
}

func (f *fold) append(b []byte) []byte {
	b = binary.AppendUvarint(b, f.sum)
	b = binary.AppendUvarint(b, f.n)
	f.keys.all(func(key string, n uint64) {
		b = binary.AppendUvarint(b, uint64(len(key)))
		b = append(b, key...)
		b = binary.AppendUvarint(b, n)
	})
	return b
}

// row returns the operator, whatever optional interfaces it has.
func (o *operator) row() *operator { return o }

type finishing struct{ *operator }

// snapshotting is an operator whose state is stored whole.
type snapshotting struct{ *operator }

func (s snapshotting) Snapshot() ([]byte, error) {
	return s.fold.append(s.batches.close(s.past.append(nil))), nil
}

func (s snapshotting) Restore(b []byte) (err error) {
	if s.past, b, err = readHistory(b); err != nil {
		return err
	}
	if b, err = s.batches.read(b); err != nil {
		return err
	}
	return s.fold.read(b)
}

// read reads the result of append.
func (f *fold) read(b []byte) (err error) {
	next := func() uint64 {
		v, k := binary.Uvarint(b)
		if k <= 0 {
			err, b = errHistory, nil
			return 0
		}
		b = b[k:]
		return v
	}
	f.sum, f.n = next(), next()
	keys := &list{}
	for len(b) > 0 && err == nil {
		n := next()
		if n > uint64(len(b)) {
			return errHistory
		}
		key := string(b[:n])
		b = b[n:]
		keys.add(key, next())
	}
	f.keys = keys
	return err
}

// committing is a transactional sink: the world outside sees a batch when the snapshot that closed it is durable.
type committing struct{ snapshotting }

func (c committing) Commit() error {
	c.committed = true
	c.world.effect(c.alias, c.batch, c.closed)
	return nil
}

// list is a table in a slice.
type list struct {
	keys []string
	n    []uint64
}

func (l *list) add(key string, n uint64) uint64 {
	for i, k := range l.keys {
		if k == key {
			l.n[i] += n
			return l.n[i]
		}
	}
	l.keys, l.n = append(l.keys, key), append(l.n, n)
	return n
}

func (l *list) get(key string) uint64 {
	for i, k := range l.keys {
		if k == key {
			return l.n[i]
		}
	}
	return 0
}

func (l *list) set(key string, n uint64) { l.add(key, n-l.get(key)) }

func (l *list) all(yield func(string, uint64)) {
	for i, k := range l.keys {
		yield(k, l.n[i])
	}
}

// maps is a table, and a history, in keyed state.
type maps struct {
	counts *state.Map[string, uint64]
	folded *state.Map[string, uint64]
	past   *state.Map[uint64, string]
}

func openMaps(ctx bolt.Context) (*maps, error) {
	var m maps
	var errs [3]error
	m.counts, errs[0] = state.Open[string, uint64](ctx, "counts")
	m.folded, errs[1] = state.Open[string, uint64](ctx, "folded")
	m.past, errs[2] = state.Open[uint64, string](ctx, "past")
	return &m, errors.Join(errs[:]...)
}

func (m *maps) add(key string, n uint64) uint64 {
	p := m.counts.Entry(key)
	*p += n
	return *p
}

func (m *maps) all(yield func(string, uint64)) {
	for k, n := range m.counts.All() {
		yield(k, n)
	}
}

func (m *maps) get(key string) uint64 {
	v, _ := m.folded.Get(key)
	return v
}

func (m *maps) set(key string, v uint64) {
	if m.get(key) != v {
		m.folded.Put(key, v)
	}
}

func (m *maps) meet(x moment) { m.past.Put(uint64(m.past.Len()), string(x.append(nil))) }

func (m *maps) history() (h history) {
	for i := range m.past.Len() {
		s, _ := m.past.Get(uint64(i))
		if x, _, err := readMoment([]byte(s)); err == nil {
			h = append(h, x)
		}
	}
	return h
}

// source is the spout of one task: it emits its roots in order, each with a value that follows from its number.
type source struct {
	world *World
	logic func(alias msgid.Alias, n uint64, out tuple.Emitter)
	alias msgid.Alias
	next  uint64
}

func (s *source) Open(ctx bolt.Context) error {
	s.alias = ctx.Task().Alias
	return nil
}

func (s *source) Next(_ context.Context, out spout.Emitter) error {
	switch limit, ended := s.world.limit(s.alias); {
	case s.next < limit:
	case ended:
		return io.EOF
	default:
		return spout.ErrIdle
	}
	if s.world.lulls() {
		return spout.ErrIdle
	}
	s.logic(s.alias, s.next, out)
	s.next++
	s.world.emitted(s.alias, s.next)
	return nil
}

func (s *source) Position(dst []byte) []byte {
	if s.world.scenario.Bug == PositionAhead {
		return binary.AppendUvarint(dst, s.next+1)
	}
	return binary.AppendUvarint(dst, s.next)
}

func (s *source) Seek(position []byte) error {
	n, k := binary.Uvarint(position)
	if k <= 0 {
		return fmt.Errorf("sim: position %x", position)
	}
	s.next = n
	return nil
}
