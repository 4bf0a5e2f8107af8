package checkpoint

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/askback/askback/msgid"
)

// A record is the content of an entry:
//
//	version kind incarnation writer number count keep crc | body crc
//	1       1    4           8      8      8      8    4   |      4
//
// The head has a checksum of its own, so that the kind of a record with a damaged body is still known: a chunk can be
// passed over, a determinant record cannot. The first checksum is seeded with the alias, which makes a record of another
// alias unreadable; the second continues the first, which ties the body to its head.
type record struct {
	kind        kind
	incarnation msgid.Incarnation
	id          recordID
	count       uint64 // how many determinant records come before this one in the alias's history
	keep        Pos    // a restore from the newest snapshot needs no entry before this; 0: there is none
	body        []byte
}

// A recordID names a record: the writer that appended it and a number that grows with each. Writer is random, for two
// processes may begin the same incarnation at once, and each must find out which begin record is in the log.
type recordID struct{ writer, number uint64 }

type kind uint8

const (
	kindBegin        kind = 1 + iota // an incarnation begins: R1
	kindRebegin                      // it begins again on a log that has lost the earlier entries
	kindDeterminants                 // a determinant record
	kindChunk                        // a part of a snapshot
	kindCommit                       // the snapshot of the parts before it is complete
	kindEnd
)

const (
	recordVersion = 1
	headSize      = 1 + 1 + 4 + 4*8 + 4
	overhead      = headSize + 4
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seedOf returns the start value of the checksums of alias's records.
func seedOf(alias msgid.Alias) uint32 { return crc32.Checksum([]byte(alias.String()), castagnoli) }

// appendRecord appends r to dst, with the pieces of body in place of r.body.
func appendRecord(dst []byte, seed uint32, r record, body ...[]byte) []byte {
	start := len(dst)
	dst = append(dst, recordVersion, byte(r.kind))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(r.incarnation))
	dst = binary.LittleEndian.AppendUint64(dst, r.id.writer)
	dst = binary.LittleEndian.AppendUint64(dst, r.id.number)
	dst = binary.LittleEndian.AppendUint64(dst, r.count)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.keep))
	sum := crc32.Update(seed, castagnoli, dst[start:])
	dst = binary.LittleEndian.AppendUint32(dst, sum)
	for _, b := range body {
		sum = crc32.Update(sum, castagnoli, b)
		dst = append(dst, b...)
	}
	return binary.LittleEndian.AppendUint32(dst, sum)
}

var (
	errHead = errors.New("checkpoint: unreadable record")
	errBody = errors.New("checkpoint: record with an unreadable body")
)

// parseRecord reads a record. With errBody all but the body is good; with errHead no field is. The body is a part of data.
func parseRecord(seed uint32, data []byte) (r record, err error) {
	if len(data) < overhead || data[0] != recordVersion {
		return r, errHead
	}
	sum := crc32.Update(seed, castagnoli, data[:headSize-4])
	r = record{
		kind:        kind(data[1]),
		incarnation: msgid.Incarnation(binary.LittleEndian.Uint32(data[2:])),
		id:          recordID{binary.LittleEndian.Uint64(data[6:]), binary.LittleEndian.Uint64(data[14:])},
		count:       binary.LittleEndian.Uint64(data[22:]),
		keep:        Pos(binary.LittleEndian.Uint64(data[30:])),
	}
	if sum != binary.LittleEndian.Uint32(data[headSize-4:]) || r.kind == 0 || r.kind >= kindEnd {
		return record{}, errHead
	}
	body := data[headSize : len(data)-4]
	if crc32.Update(sum, castagnoli, body) != binary.LittleEndian.Uint32(data[len(data)-4:]) {
		return r, errBody
	}
	r.body = body
	return r, nil
}

// repeats reports whether r is an earlier try of the same step of an upload, whose answer was lost. Determinant records
// differ by their numbers alone: their bodies may be equal.
func (r record) repeats(want record, body [][]byte) bool {
	return r.kind == want.kind && (r.kind == kindChunk || r.kind == kindCommit) && bytes.HasPrefix(r.body, body[0])
}

// A chunk is the body of a kindChunk record.
type chunk struct {
	upload uint64 // names the snapshot among those of its writer
	index  uint32
	data   []byte
}

const chunkHead = 8 + 4

func (c chunk) appendHead(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, c.upload)
	return binary.LittleEndian.AppendUint32(dst, c.index)
}

func parseChunk(body []byte) (c chunk, ok bool) {
	if len(body) < chunkHead {
		return c, false
	}
	return chunk{binary.LittleEndian.Uint64(body), binary.LittleEndian.Uint32(body[8:]), body[chunkHead:]}, true
}

// A commit is the body of a kindCommit record. A restore from this snapshot also needs the snapshots that it
// builds on and the determinant records after the number after, all of them at or behind the record's keep.
type commit struct {
	upload uint64
	chunks uint32
	sum    uint32 // CRC-32C of the snapshot
	size   uint64 // bytes of the snapshot
	after  uint64 // how many determinant records are certainly part of the snapshot
	first  Pos    // its first chunk; 0: it has none
	full   bool
	prev   link // the snapshot that it builds on, unless it is full
}

// A link names a committed snapshot.
type link struct {
	id    recordID
	pos   Pos // of its commit record
	first Pos // of its first record
}

const commitSize = 8 + 4 + 4 + 8 + 8 + 8 + 1 + 4*8

func (c commit) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, c.upload)
	dst = binary.LittleEndian.AppendUint32(dst, c.chunks)
	dst = binary.LittleEndian.AppendUint32(dst, c.sum)
	dst = binary.LittleEndian.AppendUint64(dst, c.size)
	dst = binary.LittleEndian.AppendUint64(dst, c.after)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.first))
	if c.full {
		dst = append(dst, 1)
	} else {
		dst = append(dst, 0)
	}
	dst = binary.LittleEndian.AppendUint64(dst, c.prev.id.writer)
	dst = binary.LittleEndian.AppendUint64(dst, c.prev.id.number)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(c.prev.pos))
	return binary.LittleEndian.AppendUint64(dst, uint64(c.prev.first))
}

func parseCommit(body []byte) (c commit, ok bool) {
	if len(body) != commitSize || body[40] > 1 {
		return c, false
	}
	u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(body[at:]) }
	return commit{
		upload: u64(0),
		chunks: binary.LittleEndian.Uint32(body[8:]),
		sum:    binary.LittleEndian.Uint32(body[12:]),
		size:   u64(16),
		after:  u64(24),
		first:  Pos(u64(32)),
		full:   body[40] == 1,
		prev:   link{recordID{u64(41), u64(49)}, Pos(u64(57)), Pos(u64(65))},
	}, true
}
