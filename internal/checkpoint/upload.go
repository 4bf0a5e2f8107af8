package checkpoint

import (
	"context"
	"fmt"
	"hash/crc32"
)

// An Upload is a snapshot on its way into the log. It counts when its commit record is there, which is its last step;
// without it the uploaded chunks are passed over and purged in time.
type Upload struct {
	w      *Writer
	id     uint64
	full   bool
	parts  [][]byte // the rest
	chunks uint32
	sum    uint32
	size   uint64
	first  Pos
	after  uint64 // the content of the commit record
	keep   Pos
	tried  bool // the commit record may be in the log
	done   bool
}

// Begin begins to upload a snapshot, given in parts that are joined. It must not be changed until the upload is done. An
// upload that is under way is abandoned; if that was a full one whose last step has failed, the new one must be full. An
// increment builds on the last snapshot whose upload is done, and must hold all changes since then.
//
// The caller's duties: snapshots are captured one after another, each after the upload of the one before is done or
// abandoned; and all determinants that led to the captured state are appended before the upload's last step, although the
// snapshot covers it. Otherwise a damaged snapshot could not be passed over for the one before.
func (w *Writer) Begin(parts [][]byte, full bool) *Upload {
	if u := w.upload; u != nil && u.full && u.tried {
		w.chain = link{} // if it is in the log after all, a restore begins there, and reads no older entry
	}
	w.number++
	w.upload = &Upload{w: w, id: w.number, full: full, parts: append([][]byte(nil), parts...), after: w.after, keep: w.next}
	return w.upload
}

// Covers states that the snapshot was captured at m or later, so that a restore from it need not read the determinant
// records before m. Without it a restore reads all since the commit of the snapshot before. It returns u, and must be
// called before the first step.
func (u *Upload) Covers(m Mark) *Upload {
	if m.start == u.w.start && m.count >= u.after && m.next > u.keep {
		u.after, u.keep = m.count, m.next
	}
	return u
}

// Step appends the next record, and reports whether the snapshot is committed now. Determinant records may be appended
// between steps. It fails as Writer.Append does, with ErrNeedsFull and with ErrAbandoned. After ErrFull and
// ErrUnknown the step may be repeated.
func (u *Upload) Step(ctx context.Context) (done bool, err error) {
	if u.done {
		return true, nil
	}
	switch {
	case u.w.upload != u:
		err = ErrAbandoned
	case !u.full && u.w.chain.pos == 0:
		err = ErrNeedsFull
	case u.left():
		err = u.chunk(ctx)
	default:
		err = u.commit(ctx)
	}
	if err != nil {
		return false, fmt.Errorf("snapshot of %s: %w", u.w.alias, err)
	}
	return u.done, nil
}

// left reports whether the upload is unfinished.
func (u *Upload) left() bool {
	for len(u.parts) > 0 && len(u.parts[0]) == 0 {
		u.parts = u.parts[1:]
	}
	return len(u.parts) > 0
}

// chunk appends the next chunk.
func (u *Upload) chunk(ctx context.Context) error {
	room := u.w.opt.MaxRecord - overhead - chunkHead
	pieces := [][]byte{chunk{upload: u.id, index: u.chunks}.appendHead(nil)}
	rest := append([][]byte(nil), u.parts...)
	size, sum := 0, u.sum
	for size < room && len(rest) > 0 {
		n := min(room-size, len(rest[0]))
		pieces = append(pieces, rest[0][:n])
		sum = crc32.Update(sum, castagnoli, rest[0][:n])
		size += n
		if rest[0] = rest[0][n:]; len(rest[0]) == 0 {
			rest = rest[1:]
		}
	}
	pos, err := u.w.put(ctx, kindChunk, u.w.keep, pieces...)
	if err != nil {
		return err
	}
	if u.chunks == 0 {
		u.first = pos
	}
	u.parts, u.sum, u.size, u.chunks = rest, sum, u.size+uint64(size), u.chunks+1
	return nil
}

// commit appends the commit record, unless an earlier try turns out to be in the log.
func (u *Upload) commit(ctx context.Context) error {
	w := u.w
	if w.landed.upload != u.id {
		if err := u.appendCommit(ctx); err != nil {
			return err
		}
	}
	at := w.landed
	if u.full {
		w.fulls = append(w.fulls, full{commit: at.pos, keep: u.keep})
	}
	if u.first == 0 {
		u.first = at.pos
	}
	w.chain = link{id: at.id, pos: at.pos, first: u.first}
	w.keep = u.keep
	w.after, w.next = at.count, at.pos+1
	w.upload, u.done, u.parts = nil, true, nil
	return nil
}

func (u *Upload) appendCommit(ctx context.Context) error {
	w := u.w
	c := commit{upload: u.id, chunks: u.chunks, sum: u.sum, size: u.size, after: u.after, first: u.first, full: u.full}
	if !u.full {
		c.prev = w.chain
	}
	u.tried = true
	_, err := w.put(ctx, kindCommit, u.keep, c.append(nil))
	return err
}
