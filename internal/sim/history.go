package sim

import (
	"encoding/binary"
	"errors"
)

// A history is all that an operator has met, in order. It is part of the operator's state, so it is restored with
// it, and the oracle folds it again: state and output must follow from it, and on each channel it must hold every
// tuple once.
type history []moment

// A moment is one thing that an operator has met.
type moment struct {
	kind  momentKind
	port  int    // input: index among the task's channels
	seq   uint64 // tuple: its number on the channel
	value uint64 // tick, now, rand, luck
	data  []byte // tuple: its bytes
}

type momentKind byte

const (
	tupleMoment  momentKind = iota + 1
	tickMoment              // Tick was called; value: Unix ns
	finishMoment            // Finish was called
	nowMoment               // ctx.Now returned value; within the moment before it
	randMoment              // ctx.Rand returned value
	luckMoment              // an unrecorded source of chance returned value
)

var errHistory = errors.New("sim: damaged history")

func (m moment) append(b []byte) []byte {
	b = append(b, byte(m.kind))
	b = binary.AppendUvarint(b, uint64(m.port))
	b = binary.AppendUvarint(b, m.seq)
	b = binary.AppendUvarint(b, m.value)
	b = binary.AppendUvarint(b, uint64(len(m.data)))
	return append(b, m.data...)
}

func readMoment(b []byte) (m moment, rest []byte, err error) {
	if len(b) == 0 {
		return m, nil, errHistory
	}
	m.kind, b = momentKind(b[0]), b[1:]
	var n uint64
	for _, p := range []*uint64{nil, &m.seq, &m.value, &n} {
		v, k := binary.Uvarint(b)
		if k <= 0 {
			return m, nil, errHistory
		}
		if b = b[k:]; p == nil {
			m.port = int(v)
		} else {
			*p = v
		}
	}
	if n > uint64(len(b)) {
		return m, nil, errHistory
	}
	m.data = append([]byte(nil), b[:n]...)
	return m, b[n:], nil
}

func (h history) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(h)))
	for _, m := range h {
		b = m.append(b)
	}
	return b
}

func readHistory(b []byte) (h history, rest []byte, err error) {
	n, k := binary.Uvarint(b)
	if k <= 0 {
		return nil, nil, errHistory
	}
	b = b[k:]
	for range n {
		var m moment
		if m, b, err = readMoment(b); err != nil {
			return nil, nil, err
		}
		h = append(h, m)
	}
	return h, b, nil
}
