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

// A determinantLog holds the outcomes that a replay could not repeat by itself: which input had its turn, for how many
// tuples, and every other outcome that does not follow from the input (D1). Its entries are numbered from 1. A frame is
// released when the entries up to its gate are durable (D2). A task with nothing to record has no entries, so every frame
// may go at once (D3).
//
// Invariant: durable <= last. Entries above durable are in flight or pending.
type determinantLog struct {
	turns   bool   // turns of inputs are recorded: several inputs, or timers
	last    uint64 // the number of the newest entry
	durable uint64

	pending    []entry // not yet appended; the last one has number last
	mergeable  bool    // the last pending entry may still grow: no snapshot was frozen since it began
	inFlight   bool
	inFlightTo uint64
	appendedAt recovery.Tick

	replay   []entry // recorded by an earlier incarnation, to be repeated
	givenUps int     // as many of them, at the most, are tuples given up
}

// An entry is one determinant.
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
	// Above these, entryKind(determinant)+requested.
	requested
)

func kindOf(d recovery.Determinant) entryKind { return requested + entryKind(d) }

var (
	givenUpKind = kindOf(recovery.DeterminantGivenUp)
	lastKind    = kindOf(recovery.DeterminantLocal)
)

// begins reports whether an entry starts a run of the operator; the entries that the run requested follow it.
func (k entryKind) begins() bool { return k == turn || k == timer }

// turn records a turn. Turns of the same input in a row are one entry.
func (l *determinantLog) turn(in recovery.Input, n uint64) {
	if last := len(l.pending) - 1; last >= 0 && l.mergeable {
		if e := &l.pending[last]; e.kind == turn && e.input == in {
			e.value += n
			return
		}
	}
	l.add(entry{kind: turn, input: in, value: n})
}

func (l *determinantLog) add(e entry) {
	l.pending = append(l.pending, e)
	l.last++
	l.mergeable = true
}

// onDeterminant answers the operator's request for the time, for chance, or to give up a tuple: with the recorded outcome,
// or with the fresh one, which is recorded now.
func (m *Machine) onDeterminant(fresh entry) {
	value := fresh.value
	if m.cfg.Pessimism == recovery.Optimistic { // else the effects are recorded, not the determinants
		if recorded, ok := m.determinants.next(fresh); ok {
			value = recorded
		} else if m.determinants.lacks(fresh) {
			m.failReplay("it requested a determinant that is not in the record")
			return
		} else {
			m.determinants.add(fresh)
		}
	}
	m.do.Add(recovery.Action{Kind: recovery.ReturnDeterminant, Value: value})
}

// next takes the next recorded outcome of the kind of a fresh one out of the run that is being repeated.
func (l *determinantLog) next(fresh entry) (uint64, bool) {
	for k, e := range l.replay {
		if k > 0 && l.turns && e.kind.begins() {
			break // of another run
		}
		if e.kind != fresh.kind {
			continue
		}
		if e.kind == givenUpKind && (e.input != fresh.input || e.value != fresh.value) {
			continue
		}
		from := k
		if e.kind == givenUpKind { // with the entries of the calls that failed: they are not repeated
			for from > 0 && !l.replay[from-1].kind.begins() {
				from--
			}
			l.givenUps--
		}
		// The entries before it move up, and not those behind it: there are few before it, and behind it is the whole record.
		copy(l.replay[k+1-from:], l.replay[:from])
		l.replay = l.replay[k+1-from:]
		return e.value, true
	}
	return 0, false
}

// run returns the length of the leading part of the record that the run being repeated may draw from.
func (l *determinantLog) run() int {
	if !l.turns {
		return len(l.replay) // one input and no timers: the requested determinants alone are the record
	}
	for k := range l.replay {
		if k > 0 && l.replay[k].kind.begins() {
			return k
		}
	}
	return len(l.replay)
}

// lacks reports whether an outcome that is not in the record contradicts it: the record continues after this run, so the
// run was recorded whole.
func (l *determinantLog) lacks(fresh entry) bool {
	return fresh.kind != givenUpKind && l.run() < len(l.replay)
}

// givenUp returns the tuples of a frame that were given up when they were consumed first.
func (l *determinantLog) givenUp(in recovery.Input, f channel.Frame) []recovery.GivenUp {
	if l.givenUps == 0 {
		return nil
	}
	var list []recovery.GivenUp
	for _, e := range l.replay[:l.run()] {
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

// replaying reports whether the task repeats recorded determinants.
func (m *Machine) replaying() bool { return len(m.determinants.replay) > 0 }

// repeat runs the operator on exactly the tuples or the timer that the next entry names (R4).
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
			return // starved: the frame that it waits for has been asked for
		}
		f := in.pop(min(e.value, m.batch()))
		if uint64(f.Count) > e.value {
			m.failReplay(fmt.Sprintf("a frame of %v could not be cut", in.port.ID))
			return
		}
		e.value -= uint64(f.Count)
		m.deliver(in, f)
		m.status.Recovery.Reprocessed += uint64(f.Count)
	case timer:
		at := e.value
		e.kind, e.value = turn, 0
		m.run(recovery.Action{Kind: recovery.RunTimer, Value: at})
	default: // requested by a run that no entry has begun
		if m.inputsEnded() {
			m.finish()
			return
		}
		m.failReplay(fewerDeterminants)
	}
}

const fewerDeterminants = "it requested fewer determinants than are recorded"

// endRun drops an entry whose tuples have all been consumed again.
func (m *Machine) endRun() {
	m.determinants.replay = m.determinants.replay[1:]
	if m.replaying() {
		m.repeat()
	} else {
		m.checkCaughtUp()
		m.onReady()
	}
}

// starved returns the input that the record waits for, or NoInput.
func (m *Machine) starved() recovery.Input {
	if !m.determinants.turns || !m.replaying() {
		return recovery.NoInput
	}
	if e := m.determinants.replay[0]; e.kind == turn && e.value > 0 && m.in[e.input].ready.Len() == 0 {
		return e.input
	}
	return recovery.NoInput
}

// onTimerDue runs a timer, unless the task repeats the record, which holds when timers run.
func (m *Machine) onTimerDue(at uint64) {
	if m.stage != recovery.StageWaiting || m.blocked() != recovery.NoOutput || m.replaying() || m.inputsEnded() {
		return
	}
	if m.determinants.turns {
		m.determinants.add(entry{kind: timer, value: at})
	}
	m.run(recovery.Action{Kind: recovery.RunTimer, Value: at})
}

// gated reports whether a frame waits for an entry that is not durable. Gates rise along a channel, so the last frame
// decides; the first unsent one may wait for credit, or for its target to be there.
func (m *Machine) gated() bool {
	for o := range m.out {
		if out := &m.out[o]; out.sent < out.retained.Len() && out.retained.At(out.retained.Len()-1).Gate > m.determinants.durable {
			return true
		}
	}
	return false
}

// appendDeterminants appends the pending entries if a frame waits for them: at once when the task is idle, about once a
// millisecond when it is busy, one append at a time (D2). Entries that no frame waits for are not appended at all: no other
// task has seen anything that follows from them, and the next snapshot covers them.
func (m *Machine) appendDeterminants(idle bool) {
	l := &m.determinants
	if l.inFlight || len(l.pending) == 0 || m.cfg.Pessimism != recovery.Optimistic || m.snap.Lost() {
		return // after a loss of the log, entries before the pending ones are missing: only a snapshot replaces them
	}
	if !idle && m.now <= l.appendedAt || !m.gated() {
		return
	}
	n := fitting(l.pending)
	rest := len(l.pending) - n
	if rest == 0 {
		l.appendedAt = m.now // else the rest follows as soon as this is durable
	}
	l.inFlight, l.inFlightTo = true, l.last-uint64(rest)
	m.status.Counters.Appends++
	m.do.Add(recovery.Action{Kind: recovery.Append, Data: encodeDeterminants(l.inFlightTo, l.pending[:n])})
	l.pending = slices.Delete(l.pending, 0, n)
}

func (m *Machine) onAppended() {
	l := &m.determinants
	if !l.inFlight {
		return
	}
	l.inFlight = false
	l.durable = max(l.durable, l.inFlightTo)
	for o := range m.out {
		m.pump(&m.out[o])
	}
	m.appendDeterminants(false)
}

// covered drops pending entries that a durable snapshot covers: those up to a number.
func (l *determinantLog) covered(number uint64) {
	l.durable = max(l.durable, number)
	first := l.last - uint64(len(l.pending)) + 1
	if number >= first {
		n := copy(l.pending, l.pending[min(number-first+1, uint64(len(l.pending))):])
		l.pending = l.pending[:n]
	}
}

const determinantVersion = 2

var errDeterminants = fmt.Errorf("backtrack: determinants: %w", checkpoint.ErrDamaged)

// A record of determinants stays small, since the log bounds its entries, and reasons may be long.
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

// encodeDeterminants encodes entries of which the last has a given number.
func encodeDeterminants(last uint64, entries []entry) []byte {
	b := make([]byte, 0, 16+6*len(entries))
	b = append(b, determinantVersion)
	b = binary.AppendUvarint(b, last-uint64(len(entries))+1)
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
		known := e.kind >= turn && e.kind <= lastKind && e.kind != requested
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
