package checkpointtest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"github.com/askback/askback/internal/checkpoint"
)

// A past is all that a task has consumed: how much, and a digest of it, so that two pasts are equal only if every
// step was. It is the dumb model of a task's state.
type past struct{ n, digest uint64 }

func (p past) then(input uint64) past {
	return past{p.n + 1, bits.RotateLeft64(p.digest^input, 13) * 0x9e3779b97f4a7c15}
}

// A task uses a Writer as a task of the runtime does: it consumes inputs, appends their determinants in batches, and
// uploads snapshots, full or incremental.
type task struct {
	w        *checkpoint.Writer
	now      past   // consumed
	pending  []byte // determinants not yet appended
	appended uint64 // the inputs whose determinants are appended, or were restored
	snap     past   // the past that the last committed snapshot holds
	full     bool   // the next snapshot must be full
	mark     checkpoint.Mark
	up       *checkpoint.Upload
	upPast   past
}

const stepSize = 24

// consume consumes an input. Its determinant is the number, the digest before it, and the input.
func (k *task) consume(input uint64) {
	k.pending = binary.LittleEndian.AppendUint64(k.pending, k.now.n+1)
	k.pending = binary.LittleEndian.AppendUint64(k.pending, k.now.digest)
	k.pending = binary.LittleEndian.AppendUint64(k.pending, input)
	k.now = k.now.then(input)
}

// flush appends the pending determinants. After an unknown outcome the same ones go into the next record again.
func (k *task) flush(ctx context.Context) error {
	if err := k.w.Append(ctx, k.pending); err != nil {
		return err
	}
	k.pending, k.appended = k.pending[:0], k.now.n
	return nil
}

// begin captures a snapshot, with padding so that it takes several chunks.
func (k *task) begin(full bool, padding int) {
	full = full || k.full
	k.upPast = k.now
	from := k.snap
	if full {
		from = past{}
	}
	var b []byte
	for _, v := range []uint64{from.n, from.digest, k.now.n, k.now.digest} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	k.up = k.w.Begin([][]byte{b[:5], nil, b[5:], make([]byte, padding)}, full)
	if padding%2 == 0 {
		k.up.Covers(k.mark)
	}
	k.mark = k.w.Mark() // an old one, for the next snapshot
}

// step uploads some more, and reports whether the snapshot is committed.
func (k *task) step(ctx context.Context) (bool, error) {
	done, err := k.up.Step(ctx)
	if errors.Is(err, checkpoint.ErrNeedsFull) {
		k.up, k.full = nil, true
	}
	if done {
		k.up, k.snap, k.full = nil, k.upPast, false
	}
	return done, err
}

// rebegin continues after the log has lost entries.
func (k *task) rebegin(ctx context.Context) error {
	k.full, k.up = true, nil
	return k.w.Rebegin(ctx)
}

// open starts a new incarnation.
func open(ctx context.Context, log checkpoint.Log, opt checkpoint.Options) (*task, *checkpoint.History, error) {
	w, h, err := checkpoint.Open(ctx, log, count3, opt)
	if err != nil {
		return nil, nil, err
	}
	k := &task{w: w, full: len(h.Chain) == 0}
	if err := k.restore(h); err != nil {
		return nil, nil, err
	}
	k.appended = k.now.n
	return k, h, nil
}

// restore rebuilds the past from a history, and fails if that is not one history.
func (k *task) restore(h *checkpoint.History) error {
	u64 := func(b []byte, i int) uint64 { return binary.LittleEndian.Uint64(b[8*i:]) }
	for i, s := range h.Chain {
		if from := (past{u64(s, 0), u64(s, 1)}); from != k.now {
			return fmt.Errorf("snapshot %d of %d builds on %v, but restored is %v", i, len(h.Chain), from, k.now)
		}
		k.now = past{u64(s, 2), u64(s, 3)}
	}
	k.snap = k.now
	for i, batch := range h.Determinants {
		for ; len(batch) >= stepSize; batch = batch[stepSize:] {
			switch n := u64(batch, 0); {
			case n <= k.now.n: // the snapshot covers it, or it was appended twice
			case n > k.now.n+1:
				return fmt.Errorf("determinant record %d of %d begins at input %d, but restored are %d", i, len(h.Determinants), n, k.now.n)
			case u64(batch, 1) != k.now.digest:
				return fmt.Errorf("determinant record %d of %d: input %d belongs to another past", i, len(h.Determinants), n)
			default:
				k.now = k.now.then(u64(batch, 2))
			}
		}
	}
	return nil
}
