package checkpoint

import (
	"bytes"
	"testing"

	"github.com/askback/askback/msgid"
)

var alias = msgid.Alias{Operator: "count", Index: 3}

func sample() record {
	return record{kind: kindDeterminants, incarnation: 7, id: recordID{11, 13}, count: 17, keep: 19}
}

func TestRecord(t *testing.T) {
	seed, want := seedOf(alias), sample()
	data := appendRecord([]byte("before")[:0], seed, want, []byte("bo"), nil, []byte("dy"))
	if len(data) != overhead+4 {
		t.Fatalf("%d bytes, want %d", len(data), overhead+4)
	}
	got, err := parseRecord(seed, data)
	if err != nil || string(got.body) != "body" {
		t.Fatalf("%+v, %v", got, err)
	}
	want.body = got.body
	if got.kind != want.kind || got.incarnation != want.incarnation || got.id != want.id || got.count != want.count || got.keep != want.keep {
		t.Fatalf("%+v, want %+v", got, want)
	}
	// Every flipped bit is noticed; in the body or behind it, the head is still good.
	for i := range data {
		for bit := range 8 {
			bad := bytes.Clone(data)
			bad[i] ^= 1 << bit
			got, err := parseRecord(seed, bad)
			switch {
			case i < headSize && err != errHead, i >= headSize && (err != errBody || got.id != want.id || got.kind != kindDeterminants):
				t.Fatalf("byte %d, bit %d: %+v, %v", i, bit, got, err)
			}
		}
	}
	if _, err := parseRecord(seedOf(msgid.Alias{Operator: "count", Index: 4}), data); err != errHead {
		t.Fatalf("another alias's record: %v", err)
	}
	for n := range data {
		if _, err := parseRecord(seed, data[:n]); err == nil {
			t.Fatalf("the first %d bytes pass for a record", n)
		}
	}
}

func TestCommit(t *testing.T) {
	want := commit{upload: 1, chunks: 2, sum: 3, size: 4, after: 5, first: 6, full: false, prev: link{recordID{7, 8}, 9, 10}}
	for range 2 {
		got, ok := parseCommit(want.append(nil))
		if !ok || got != want {
			t.Fatalf("%+v, %v; want %+v", got, ok, want)
		}
		want.full = true
	}
	if _, ok := parseCommit(want.append([]byte{0})); ok {
		t.Fatal("a commit of another size is read")
	}
}

func FuzzRecord(f *testing.F) {
	seed := seedOf(alias)
	f.Add(appendRecord(nil, seed, sample(), []byte("body")))
	f.Add([]byte{recordVersion})
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRecord(seed, data)
		if err != nil {
			return
		}
		if again := appendRecord(nil, seed, r, r.body); !bytes.Equal(again, data) {
			t.Fatalf("%x is read as %+v, which is written as %x", data, r, again)
		}
	})
}

// FuzzScan gives the scanner any succession of well-formed records, as a hostile or confused writer could append:
// it must neither panic nor make up a history that contradicts itself.
func FuzzScan(f *testing.F) {
	f.Add([]byte{1, 1, 0, 3, 1, 0, 3, 1, 0})
	f.Add([]byte{1, 1, 0, 4, 1, 0, 5, 1, 0, 3, 1, 1, 5, 1, 0x81, 1, 2, 1})
	f.Fuzz(func(t *testing.T, script []byte) {
		for _, partial := range []bool{false, true} {
			s := newScan(alias, nil, partial)
			number, determinants, chunks, pos := uint64(0), uint64(0), uint32(0), Pos(0)
			var prev link
			for rest := script; len(rest) >= 3; rest = rest[3:] {
				k, who, twist := kind(rest[0]%8), rest[1], rest[2]
				number++
				pos++
				r := record{kind: k, incarnation: msgid.Incarnation(who % 4), id: recordID{uint64(who / 64), number - uint64(twist%3)}, count: determinants + uint64(twist%5) - uint64(twist/128), keep: Pos(twist)}
				var body []byte
				switch k {
				case kindDeterminants:
					determinants++
				case kindChunk:
					body = chunk{upload: uint64(twist % 2), index: chunks}.appendHead(nil)
					chunks += uint32(twist % 3)
				case kindCommit:
					c := commit{upload: uint64(twist % 2), chunks: chunks, after: uint64(twist / 8), full: twist%2 == 0, prev: prev}
					body, chunks = c.append(nil), 0
					prev = link{r.id, pos, pos}
				}
				data := appendRecord(nil, s.seed, r, body)
				if twist == 255 {
					data = data[:len(data)-1]
				}
				s.add(Entry{Pos: pos, Data: data})
				if s.first+uint64(len(s.determinants)) != s.count+1 {
					t.Fatalf("first %d, %d determinants, count %d", s.first, len(s.determinants), s.count)
				}
			}
			h, err := s.history()
			if err == nil && len(h.Determinants) > int(pos) {
				t.Fatalf("%d determinants of %d entries", len(h.Determinants), pos)
			}
			if s.newest() != nil {
				s.missing()
			}
		}
	})
}
