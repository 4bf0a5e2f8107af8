package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A snapshot is, with all numbers as varints but for the checksum:
//
//	"AS" version  full?  number  base  sections  section…  CRC-32C of all before it (4 bytes, little-endian)
//
// and a section, for one map:
//
//	name  kind of key  kind of value  records  next sequence number  bytes of records  records…
//
// Texts have their length before them. A record is its length and then
//
//	opUpdate jump value        of an entry that the snapshot before had too
//	opDelete jump
//	opInsert jump key value    a new entry
//
// where jump is the difference between the entry's number and the one after that of the record before: mostly 0 in a
// full snapshot, and negative for an entry that was encoded out of turn.
//
// A full snapshot may hold several sections of one name: those of a map that was never opened, as they came.
const (
	formatVersion = 2

	opUpdate = 1
	opDelete = 2
	opInsert = 3
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// A header identifies a snapshot.
type header struct {
	full     bool
	number   uint64 // goes up with each snapshot, without being reused
	base     uint64 // the snapshot that an increment follows
	sections uint64
}

func (h header) append(dst []byte) []byte {
	dst = append(dst, 'A', 'S', formatVersion, 0)
	if h.full {
		dst[len(dst)-1] = 1
	}
	dst = binary.AppendUvarint(dst, h.number)
	dst = binary.AppendUvarint(dst, h.base)
	return binary.AppendUvarint(dst, h.sections)
}

// A section holds the records of one map.
type section struct {
	name, key, value string
	count            uint64
	nextSeq          uint64
	records          []byte // nil in one that is being written
	raw              []byte // the whole section, in one that was read
}

// appendHead appends all but the records, whose length in bytes it is given.
func (s *section) appendHead(dst []byte, size int) []byte {
	for _, text := range []string{s.name, s.key, s.value} {
		dst = append(binary.AppendUvarint(dst, uint64(len(text))), text...)
	}
	dst = binary.AppendUvarint(dst, s.count)
	dst = binary.AppendUvarint(dst, s.nextSeq)
	return binary.AppendUvarint(dst, uint64(size))
}

// parse checks a snapshot's frame and returns what it consists of. The records share data.
func parse(data []byte) (h header, sections []section, err error) {
	body := len(data) - 4
	if body < 4 || data[0] != 'A' || data[1] != 'S' {
		return h, nil, errors.New("not a snapshot")
	}
	if data[2] != formatVersion {
		return h, nil, fmt.Errorf("format version %d, want %d", data[2], formatVersion)
	}
	if crc32.Checksum(data[:body], castagnoli) != binary.LittleEndian.Uint32(data[body:]) {
		return h, nil, errors.New("checksum does not match")
	}
	r := reader{data: data[4:body]}
	h = header{full: data[3] == 1, number: r.uvarint(), base: r.uvarint(), sections: r.uvarint()}
	if r.bad || data[3] > 1 || h.number > maxSeq || h.sections > uint64(len(data)) {
		return h, nil, errors.New("bad header")
	}
	for range h.sections {
		from := r.data
		s := section{name: string(r.bytes()), key: string(r.bytes()), value: string(r.bytes())}
		s.count, s.nextSeq, s.records = r.uvarint(), r.uvarint(), r.bytes()
		s.raw = from[:len(from)-len(r.data)]
		if r.bad || !validTitle(s.name) || s.nextSeq > maxSeq {
			return h, nil, errors.New("bad section")
		}
		sections = append(sections, s)
	}
	if r.bad || len(r.data) > 0 {
		return h, nil, errors.New("bad length")
	}
	return h, sections, nil
}

// maxSeq bounds the numbers of entries, so that no sum overflows.
const maxSeq = 1 << 62

// A reader reads varints and texts, and remembers whether anything was missing.
type reader struct {
	data []byte
	bad  bool
}

func (r *reader) uvarint() uint64 {
	n, width := binary.Uvarint(r.data)
	if width <= 0 {
		r.data, r.bad = nil, true
		return 0
	}
	r.data = r.data[width:]
	return n
}

func (r *reader) varint() int64 {
	n, width := binary.Varint(r.data)
	if width <= 0 {
		r.data, r.bad = nil, true
		return 0
	}
	r.data = r.data[width:]
	return n
}

func (r *reader) bytes() []byte {
	b, rest, ok := readBytes(r.data)
	r.data, r.bad = rest, r.bad || !ok
	return b
}

// readBytes reads a length and as many bytes, and returns what follows.
func readBytes(src []byte) (b, rest []byte, ok bool) {
	n, width := binary.Uvarint(src)
	if width <= 0 || n > uint64(len(src)-width) {
		return nil, nil, false
	}
	src = src[width:]
	return src[:n:n], src[n:], true
}

// A spool gathers records in chunks: one growing slice would be copied again and again, tens of megabytes at
// a time.
type spool struct {
	full  [][]byte
	chunk []byte
	size  int // bytes in full
	count uint64
}

const spoolChunk = 64 << 10

// begin returns the chunk to append a record to.
func (s *spool) begin() []byte {
	if s.chunk == nil {
		s.chunk = make([]byte, 0, spoolChunk)
	}
	return append(s.chunk, 0) // room for the length of a short record
}

// end takes the chunk with the record appended, and puts the record's length before it.
func (s *spool) end(chunk []byte) {
	at := len(s.chunk)
	n := len(chunk) - at - 1
	if n < 0x80 {
		chunk[at] = byte(n)
	} else {
		var width [binary.MaxVarintLen64]byte
		w := binary.PutUvarint(width[:], uint64(n))
		chunk = append(chunk, width[:w-1]...)
		copy(chunk[at+w:], chunk[at+1:at+1+n])
		copy(chunk[at:], width[:w])
	}
	s.chunk = chunk
	s.count++
	if len(chunk) > spoolChunk*7/8 {
		s.flush()
	}
}

func (s *spool) flush() {
	if len(s.chunk) > 0 {
		s.full = append(s.full, s.chunk)
		s.size += len(s.chunk)
		s.chunk = nil
	}
}
