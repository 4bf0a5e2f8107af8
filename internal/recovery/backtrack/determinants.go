package backtrack

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// An order is what only the task knows and replay could not repeat: which input had its turn, for how many
// tuples, and every other choice (D1). Its entries are numbered from 1. A frame is released when the entries up
// to the one that led to it are durable (D2). Of a task with nothing to record pos stays 0, and so every frame
// may go at once (D3).
//
// Invariant: durable <= pos. Entries above durable are in flight or pending.
type determinantLog struct {
	recorded bool // turns of inputs are recorded: several inputs, or timers
	pos      uint64
	durable  uint64

	pending    []entry // not yet appended; the last one has number pos
	mergeable  bool    // the last pending entry may still grow: no snapshot was captured since it began
	inFlight   bool
	inFlightTo uint64
	appendedAt recovery.Tick

	replay   []entry // recorded by an earlier incarnation, to be repeated
	givenUps int     // as many of them, at the most, are tuples given up
}

// An entry is one choice.
type entry struct {
	kind   entryKind
	input  recovery.Input
	value  uint64
	reason string // of a tuple given up
}

type entryKind uint8

const (
	turn  entryKind = iota + 1 // input; value: how many tuples
	timer                      // value: Unix ns
	// Above these, entryKind(choice)+choiceBase.
	choiceBase
)

func kindOf(c recovery.Determinant) entryKind { return choiceBase + entryKind(c) }

var (
	givenUpKind = kindOf(recovery.DeterminantGivenUp)
	lastKind    = kindOf(recovery.DeterminantLocal)
)

// begins reports whether an entry starts a run of the operator; the choices made in the run follow it.
func (k entryKind) begins() bool { return k == turn || k == timer }

// consume records a turn. Turns of the same input in a row are one entry.
func (o *determinantLog) consume(in recovery.Input, n uint64) {
	if last := len(o.pending) - 1; last >= 0 && o.mergeable {
		if e := &o.pending[last]; e.kind == turn && e.input == in {
			e.value += n
			return
		}
	}
	o.add(entry{kind: turn, input: in, value: n})
}

func (o *determinantLog) add(e entry) {
	o.pending = append(o.pending, e)
	o.pos++
	o.mergeable = true
}

// onDeterminant answers the operator's wish for the time, for chance, or to give up a tuple: with what was recorded,
// or with the fresh value, which is recorded now.
func (m *Machine) onDeterminant(c recovery.Determinant, fresh entry) {
	fresh.kind = kindOf(c)
	value := fresh.value
	if m.cfg.Pessimism == recovery.Optimistic { // else the effects are recorded, not the choices
		if recorded, ok := m.determinants.next(fresh); ok {
			value = recorded
		} else if m.determinants.misses(c) {
			m.fail(&recovery.ReplayError{Alias: m.cfg.Self, What: "it made a choice that is not in the record"})
			return
		} else {
			m.determinants.add(fresh)
		}
	}
	m.do.Add(recovery.Action{Kind: recovery.ReturnDeterminant, Value: value})
}

// next takes the next recorded choice of the kind of a fresh one out of the run that is being repeated.
func (o *determinantLog) next(fresh entry) (uint64, bool) {
	for k, e := range o.replay {
		if k > 0 && o.recorded && e.kind.begins() {
			break // of another run
		}
		if e.kind != fresh.kind {
			continue
		}
		if e.kind == givenUpKind && (e.input != fresh.input || e.value != fresh.value) {
			continue
		}
		from := k
		if e.kind == givenUpKind { // with what the calls that failed had drawn: they are not repeated
			for from > 0 && !o.replay[from-1].kind.begins() {
				from--
			}
			o.givenUps--
		}
		// What is before it moves up, and not what is behind it: before it there is little, behind it the whole record.
		copy(o.replay[k+1-from:], o.replay[:from])
		o.replay = o.replay[k+1-from:]
		return e.value, true
	}
	return 0, false
}

// run returns the length of the leading part of the record that the run being repeated may draw from.
func (o *determinantLog) run() int {
	if !o.recorded {
		return len(o.replay) // one input and no timers: the choices alone are the record
	}
	for k := range o.replay {
		if k > 0 && o.replay[k].kind.begins() {
			return k
		}
	}
	return len(o.replay)
}

// misses reports whether a choice that is not in the record contradicts it: the record goes on after this run,
// so the run was recorded whole.
func (o *determinantLog) misses(c recovery.Determinant) bool {
	return c != recovery.DeterminantGivenUp && o.run() < len(o.replay)
}

// givenUp returns the tuples of a frame that were given up when they were consumed first.
func (o *determinantLog) givenUp(in recovery.Input, f channel.Frame) []recovery.GivenUp {
	if o.givenUps == 0 {
		return nil
	}
	var list []recovery.GivenUp
	for _, e := range o.replay[:o.run()] {
		s := msgid.Seq(e.value)
		switch {
		case e.kind != givenUpKind || e.input != in:
		case s > f.Last():
			return list // they rise
		case s >= f.First:
			list = append(list, recovery.GivenUp{Seq: s, Reason: e.reason})
		}
	}
	return list
}

// repeat runs the operator on exactly what the record says (R4).
func (m *Machine) repeat() {
	e := &m.determinants.replay[0]
	switch e.kind {
	case turn:
		if e.value == 0 { // its run is over
			m.endRun()
			return
		}
		in := &m.in[e.input]
		if in.ready.Len() == 0 {
			return // starved: what it waits for has been asked for
		}
		f := in.pop(min(e.value, m.batch()))
		if uint64(f.Count) > e.value {
			m.fail(&recovery.ReplayError{Alias: m.cfg.Self, What: fmt.Sprintf("a frame of %v could not be cut", in.port.ID)})
			return
		}
		e.value -= uint64(f.Count)
		m.deliver(in, f)
		m.status.Recovery.Reprocessed += uint64(f.Count)
	case timer:
		at := e.value
		e.kind, e.value = turn, 0
		m.begin()
		m.do.Add(recovery.Action{Kind: recovery.RunTimer, Value: at})
	default: // a choice that nothing before it has made
		if m.inputsEnded() {
			m.finish()
			return
		}
		m.fail(&recovery.ReplayError{Alias: m.cfg.Self, What: fewerChoices})
	}
}

const fewerChoices = "it made fewer choices than are recorded"

// endRun drops an entry whose tuples have all been consumed again, and goes on.
func (m *Machine) endRun() {
	m.determinants.replay = m.determinants.replay[1:]
	if len(m.determinants.replay) > 0 {
		m.repeat()
	} else {
		m.checkCaughtUp()
		m.onReady()
	}
}

// starved returns the input that recorded order waits for, or -1.
func (m *Machine) starved() recovery.Input {
	if !m.determinants.recorded || len(m.determinants.replay) == 0 {
		return recovery.NoInput
	}
	if e := m.determinants.replay[0]; e.kind == turn && e.value > 0 && m.in[e.input].ready.Len() == 0 {
		return e.input
	}
	return recovery.NoInput
}

// onDue fires a timer, unless the task repeats recorded order, which says when timers fire.
func (m *Machine) onDue(at uint64) {
	if m.working || m.ended || m.blocked() != recovery.NoOutput || len(m.determinants.replay) > 0 || m.inputsEnded() {
		return
	}
	if m.determinants.recorded {
		m.determinants.add(entry{kind: timer, value: at})
	}
	m.begin()
	m.do.Add(recovery.Action{Kind: recovery.RunTimer, Value: at})
}

// gated reports whether a frame waits for order that is not durable. Gates rise along a channel, so the last frame
// tells; the first that is not sent may wait for credit, or for its target to be there.
func (m *Machine) gated() bool {
	for o := range m.out {
		if out := &m.out[o]; out.sent < out.retained.Len() && out.retained.At(out.retained.Len()-1).Gate > m.determinants.durable {
			return true
		}
	}
	return false
}

// appendDeterminants appends the pending order if a frame waits for it: at once when the task is idle, about once a
// millisecond when it is busy, one append at a time (D2). Order that nothing waits for is not appended at all:
// nobody has seen anything that follows from it, and the next snapshot covers it.
func (m *Machine) appendDeterminants(idle bool) {
	o := &m.determinants
	if o.inFlight || len(o.pending) == 0 || m.cfg.Pessimism != recovery.Optimistic || m.snap.lost {
		return // after a loss of the log, order before the pending one is missing: only a snapshot makes up for it
	}
	if !idle && m.now <= o.appendedAt || !m.gated() {
		return
	}
	n := fitting(o.pending)
	rest := len(o.pending) - n
	if rest == 0 {
		o.appendedAt = m.now // else the rest follows as soon as this is durable
	}
	o.inFlight, o.inFlightTo = true, o.pos-uint64(rest)
	m.status.Counters.Appends++
	m.do.Add(recovery.Action{Kind: recovery.Append, Data: encodeDeterminants(o.inFlightTo, o.pending[:n])})
	o.pending = slices.Delete(o.pending, 0, n)
}

func (m *Machine) onAppended() {
	o := &m.determinants
	if !o.inFlight {
		return
	}
	o.inFlight = false
	o.durable = max(o.durable, o.inFlightTo)
	for k := range m.out {
		m.pump(&m.out[k])
	}
	m.appendDeterminants(false)
}

// covered drops pending entries that a durable snapshot covers.
func (o *determinantLog) covered(pos uint64) {
	o.durable = max(o.durable, pos)
	first := o.pos - uint64(len(o.pending)) + 1
	if pos >= first {
		n := copy(o.pending, o.pending[min(pos-first+1, uint64(len(o.pending))):])
		o.pending = o.pending[:n]
	}
}

const determinantVersion = 2

var errDeterminants = fmt.Errorf("backtrack: order record: %w", checkpoint.ErrDamaged)

// A record of order stays small, since the log bounds its entries, and reasons may be long.
const (
	maxRecord = 64 << 10
	maxEntry  = 1 + 3*binary.MaxVarintLen64 // but for its reason
)

// fitting returns how many entries, from the first on, go into one record.
func fitting(entries []entry) (n int) {
	for size := 0; n < len(entries); n++ {
		if size += maxEntry + len(entries[n].reason); size > maxRecord && n > 0 {
			break
		}
	}
	return n
}

// encodeDeterminants encodes entries of which the last has number pos.
func encodeDeterminants(pos uint64, entries []entry) []byte {
	b := make([]byte, 0, 16+6*len(entries))
	b = append(b, determinantVersion)
	b = binary.AppendUvarint(b, pos-uint64(len(entries))+1)
	b = binary.AppendUvarint(b, uint64(len(entries)))
	for _, e := range entries {
		b = append(b, byte(e.kind))
		b = binary.AppendUvarint(b, uint64(e.input))
		b = binary.AppendUvarint(b, e.value)
		if e.kind == givenUpKind {
			b = binary.AppendUvarint(b, uint64(len(e.reason)))
			b = append(b, e.reason...)
		}
	}
	return b
}

// decodeDeterminants returns the entries of a record and the number of the first.
func decodeDeterminants(b []byte, inputs int) (first uint64, entries []entry, err error) {
	d := recovery.Decode(b)
	if d.Byte() != determinantVersion {
		return 0, nil, errDeterminants
	}
	first = d.Uvarint()
	n := d.Uvarint()
	for range n {
		e := entry{kind: entryKind(d.Byte()), input: recovery.Input(min(d.Uvarint(), 1<<30)), value: d.Uvarint()}
		if e.kind == givenUpKind {
			e.reason = string(d.Bytes(d.Uvarint()))
		}
		known := e.kind >= turn && e.kind <= lastKind && e.kind != choiceBase
		if d.Bad() || !known || int(e.input) >= max(inputs, 1) {
			return 0, nil, errDeterminants
		}
		entries = append(entries, e)
	}
	if !d.Done() || first == 0 {
		return 0, nil, errDeterminants
	}
	return first, entries, nil
}
