package msgid

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
)

// A Set is a message-id set: sequence-number ranges for each of some channels, written
// "split.0>count.1#48211-51002 split.1>count.1#47990-50781". The zero value is the empty set, ready for use.
//
// A checkpoint's input position, an ACK and an ASK are each one.
//
// A Set is copied by Clone: the plain copy of a Set that Add or Advance then change shares memory with it. Union,
// Minus and Intersect return sets of their own. It has no lock: it belongs to one goroutine, or is only read.
type Set struct {
	// Invariant: in rising order of channels, none twice, none without ranges. A sorted slice and not a map:
	// it has one order, and no set is so large that searching it would cost more than hashing three names.
	parts []part
}

type part struct {
	channel Channel
	ranges  Ranges
}

// ErrSet occurs when the binary or text form of a message-id set is not one: truncated, malformed, with a channel
// given twice, or in binary with channels out of order. It wraps ErrRanges where the ranges are at fault.
var ErrSet = errors.New("msgid: not a message-id set")

// Add makes the ids of channel c with sequence numbers in r members.
func (s *Set) Add(c Channel, r Range) {
	if r.Last < max(r.First, 1) {
		return
	}
	i, ok := s.search(c)
	if !ok {
		s.parts = slices.Insert(s.parts, i, part{channel: c})
	}
	s.parts[i].ranges.Add(r)
}

// AddID makes id a member.
func (s *Set) AddID(id ID) { s.Add(id.Channel, Range{id.Seq, id.Seq}) }

// Advance makes all ids of channel c up to seq members: the position "consumed up to here".
func (s *Set) Advance(c Channel, seq Seq) { s.Add(c, Range{1, seq}) }

// Of returns the sequence numbers on channel c. They are the set's own: only read them.
func (s Set) Of(c Channel) Ranges {
	if i, ok := s.search(c); ok {
		return s.parts[i].ranges
	}
	return nil
}

// All yields the channels in rising order, and each one's sequence numbers, which are the set's own.
func (s Set) All() iter.Seq2[Channel, Ranges] {
	return func(yield func(Channel, Ranges) bool) {
		for _, p := range s.parts {
			if !yield(p.channel, p.ranges) {
				return
			}
		}
	}
}

// Channels returns the channels that have a member, in rising order.
func (s Set) Channels() []Channel {
	out := make([]Channel, len(s.parts))
	for i, p := range s.parts {
		out[i] = p.channel
	}
	return out
}

// Contains reports whether id is a member.
func (s Set) Contains(id ID) bool { return s.Of(id.Channel).Contains(id.Seq) }

// Empty reports whether the set has no member.
func (s Set) Empty() bool { return len(s.parts) == 0 }

// Count returns the number of members, or the largest uint64 if there are more.
func (s Set) Count() (n uint64) {
	for _, p := range s.parts {
		c := p.ranges.Count()
		if c > math.MaxUint64-n {
			return math.MaxUint64
		}
		n += c
	}
	return n
}

// Equal reports whether s and o have the same members.
func (s Set) Equal(o Set) bool {
	return slices.EqualFunc(s.parts, o.parts, func(a, b part) bool {
		return a.channel == b.channel && a.ranges.Equal(b.ranges)
	})
}

// Clone returns a copy that shares nothing with s.
func (s Set) Clone() Set { return s.Union(Set{}) }

// Union returns what is in s or in o.
func (s Set) Union(o Set) Set { return s.merge(o, Ranges.Union) }

// Minus returns what is in s and not in o.
func (s Set) Minus(o Set) Set { return s.merge(o, Ranges.Minus) }

// Intersect returns what is both in s and in o.
func (s Set) Intersect(o Set) Set { return s.merge(o, Ranges.Intersect) }

// String returns the text form: channels in rising order, separated by spaces.
func (s Set) String() string {
	var text []byte
	for i, p := range s.parts {
		if i > 0 {
			text = append(text, ' ')
		}
		text = append(append(text, p.channel.String()...), '#')
		text = p.ranges.appendText(text)
	}
	return string(text)
}

// ParseSet reads the text form. Channels may come in any order, separated by white space; the empty string is
// the empty set.
func ParseSet(text string) (Set, error) {
	var s Set
	for word := range strings.FieldsSeq(text) {
		name, ranges, ok := strings.Cut(word, "#")
		if !ok || ranges == "" {
			return Set{}, fmt.Errorf("%w: %.200q: want channel#ranges, such as split.1>count.3#17-42,45", ErrSet, word)
		}
		c, err := ParseChannel(name)
		if err != nil {
			return Set{}, fmt.Errorf("%w: %w", ErrSet, err)
		}
		r, err := ParseRanges(ranges)
		if err != nil {
			return Set{}, fmt.Errorf("%w: %s: %w", ErrSet, c, err)
		}
		s.parts = append(s.parts, part{c, r})
	}
	slices.SortStableFunc(s.parts, func(a, b part) int { return a.channel.Compare(b.channel) })
	for i := range s.parts {
		if i > 0 && s.parts[i].channel == s.parts[i-1].channel {
			return Set{}, fmt.Errorf("%w: %s is given twice", ErrSet, s.parts[i].channel)
		}
	}
	return s, nil
}

// AppendBinary appends the binary form to dst: the number of channels, then for each in rising order its text
// form, led by its length, and its ranges.
func (s Set) AppendBinary(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s.parts)))
	for _, p := range s.parts {
		name := p.channel.String()
		dst = binary.AppendUvarint(dst, uint64(len(name)))
		dst = append(dst, name...)
		dst = p.ranges.AppendBinary(dst)
	}
	return dst
}

// ReadSet reads the binary form from the front of b and returns what follows it. It accepts only the output of
// AppendBinary. It allocates at most a small multiple of len(b).
func ReadSet(b []byte) (s Set, rest []byte, err error) {
	n, b, ok := readUvarint(b)
	if !ok || n > uint64(len(b)) {
		return Set{}, nil, fmt.Errorf("%w: truncated or malformed count", ErrSet)
	}
	for i := range n {
		var size uint64
		if size, b, ok = readUvarint(b); !ok || size > uint64(len(b)) {
			return Set{}, nil, fmt.Errorf("%w: truncated at channel %d of %d", ErrSet, i+1, n)
		}
		c, err := ParseChannel(string(b[:min(size, maxChannel)]))
		if err != nil || size > maxChannel {
			return Set{}, nil, fmt.Errorf("%w: channel %d of %d is not one", ErrSet, i+1, n)
		}
		if i > 0 && s.parts[i-1].channel.Compare(c) >= 0 {
			return Set{}, nil, fmt.Errorf("%w: %s is out of order", ErrSet, c)
		}
		var r Ranges
		if r, b, err = ReadRanges(b[size:]); err != nil {
			return Set{}, nil, fmt.Errorf("%w: %s: %w", ErrSet, c, err)
		}
		if r.Empty() {
			return Set{}, nil, fmt.Errorf("%w: %s has no ranges", ErrSet, c)
		}
		s.parts = append(s.parts, part{c, r})
	}
	return s, b, nil
}

// MarshalBinary returns the binary form. The error is always nil.
func (s Set) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil), nil }

// UnmarshalBinary reads the binary form, which must be all of b.
func (s *Set) UnmarshalBinary(b []byte) error {
	set, rest, err := ReadSet(b)
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return fmt.Errorf("%w: %d bytes follow it", ErrSet, len(rest))
	}
	*s = set
	return nil
}

// search returns where channel c is, or where it would be.
func (s Set) search(c Channel) (i int, found bool) {
	return slices.BinarySearchFunc(s.parts, c, func(p part, c Channel) int { return p.channel.Compare(c) })
}

// merge returns op of the ranges of each channel that s or o has.
func (s Set) merge(o Set, op func(a, b Ranges) Ranges) (out Set) {
	a, b := s.parts, o.parts
	for len(a)+len(b) > 0 {
		order := 0
		switch {
		case len(a) == 0:
			order = 1
		case len(b) == 0:
			order = -1
		default:
			order = a[0].channel.Compare(b[0].channel)
		}
		var x, y Ranges
		var c Channel
		if order <= 0 {
			c, x, a = a[0].channel, a[0].ranges, a[1:]
		}
		if order >= 0 {
			c, y, b = b[0].channel, b[0].ranges, b[1:]
		}
		if r := op(x, y); !r.Empty() {
			out.parts = append(out.parts, part{c, r})
		}
	}
	return out
}
