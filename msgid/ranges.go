package msgid

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Ranges is a set of sequence numbers on one channel, written "17-42,45". Nil is the empty set.
//
// Invariant: no range is empty, each begins at 1 or above, and each ends at least two before the next begins, so
// that equal sets have equal ranges. A Ranges built by hand must keep it; the methods do.
//
// Union, Minus, Intersect and Clip return ranges of their own; Add and Remove change the receiver in place.
type Ranges []Range

// MaxRanges is how many ranges a Ranges may have in its binary and text forms.
const MaxRanges = 1 << 20

// ErrRanges occurs when the binary or text form of sequence-number ranges is not one that this package writes:
// truncated, out of order, overlapping, adjacent, holding zero, too large or too many.
var ErrRanges = errors.New("msgid: not sequence-number ranges")

// Empty reports whether the set has no member.
func (r Ranges) Empty() bool { return len(r) == 0 }

// First returns the lowest member, 0 if there is none.
func (r Ranges) First() Seq {
	if len(r) == 0 {
		return 0
	}
	return r[0].First
}

// Last returns the highest member, 0 if there is none.
func (r Ranges) Last() Seq {
	if len(r) == 0 {
		return 0
	}
	return r[len(r)-1].Last
}

// Count returns the number of members.
func (r Ranges) Count() (n uint64) {
	for _, x := range r {
		n += uint64(x.Last-x.First) + 1 // cannot overflow: zero is never a member
	}
	return n
}

// Contains reports whether s is a member.
func (r Ranges) Contains(s Seq) bool {
	i := r.search(s)
	return i < len(r) && r[i].First <= s
}

// Add makes the members of x members. Zero is not a sequence number and is left out.
func (r *Ranges) Add(x Range) {
	x.First = max(x.First, 1)
	if x.Last < x.First {
		return
	}
	s := *r
	i := s.search(x.First - 1) // the first range that x overlaps, touches or precedes
	j := i
	for j < len(s) && s[j].First-1 <= x.Last {
		j++
	}
	if i == j {
		*r = slices.Insert(s, i, x)
		return
	}
	s[i] = Range{min(s[i].First, x.First), max(s[j-1].Last, x.Last)}
	*r = slices.Delete(s, i+1, j)
}

// Remove makes the members of x no members.
func (r *Ranges) Remove(x Range) {
	x.First = max(x.First, 1)
	if x.Last < x.First {
		return
	}
	s := *r
	i := s.search(x.First)
	j := i
	for j < len(s) && s[j].First <= x.Last {
		j++
	}
	if i == j {
		return
	}
	var keep [2]Range
	n := 0
	if a := s[i]; a.First < x.First {
		keep[n] = Range{a.First, x.First - 1}
		n++
	}
	if z := s[j-1]; z.Last > x.Last {
		keep[n] = Range{x.Last + 1, z.Last}
		n++
	}
	*r = slices.Replace(s, i, j, keep[:n]...)
}

// Union returns what is in r or in o.
func (r Ranges) Union(o Ranges) Ranges {
	if len(r)+len(o) == 0 {
		return nil
	}
	out := make(Ranges, 0, len(r)+len(o))
	for len(r)+len(o) > 0 {
		if len(o) == 0 || len(r) > 0 && r[0].First <= o[0].First {
			out, r = out.push(r[0]), r[1:]
		} else {
			out, o = out.push(o[0]), o[1:]
		}
	}
	return out
}

// Minus returns what is in r and not in o.
func (r Ranges) Minus(o Ranges) (out Ranges) {
	for _, x := range r {
		for len(o) > 0 && o[0].Last < x.First {
			o = o[1:]
		}
		for len(o) > 0 && o[0].First <= x.Last {
			if x.First < o[0].First {
				out = append(out, Range{x.First, o[0].First - 1})
			}
			if o[0].Last >= x.Last { // it may reach into the next range of r too: keep it
				x.First = 0
				break
			}
			x.First = o[0].Last + 1
			o = o[1:]
		}
		if x.First > 0 {
			out = append(out, x)
		}
	}
	return out
}

// Intersect returns what is both in r and in o.
func (r Ranges) Intersect(o Ranges) (out Ranges) {
	for len(r) > 0 && len(o) > 0 {
		x := Range{max(r[0].First, o[0].First), min(r[0].Last, o[0].Last)}
		if x.First <= x.Last {
			out = append(out, x)
		}
		if r[0].Last < o[0].Last {
			r = r[1:]
		} else {
			o = o[1:]
		}
	}
	return out
}

// Clip returns the part of r inside x.
func (r Ranges) Clip(x Range) Ranges {
	i := r.search(x.First)
	j := i
	for j < len(r) && r[j].First <= x.Last {
		j++
	}
	if i == j || x.Last < x.First {
		return nil
	}
	out := slices.Clone(r[i:j])
	out[0].First = max(out[0].First, x.First)
	out[j-i-1].Last = min(out[j-i-1].Last, x.Last)
	return out
}

// Equal reports whether r and o have the same members.
func (r Ranges) Equal(o Ranges) bool { return slices.Equal(r, o) }

// String returns the text form, "17-42,45".
func (r Ranges) String() string { return string(r.appendText(nil)) }

// ParseRanges reads the text form. The empty string is the empty set.
func ParseRanges(s string) (Ranges, error) {
	if s == "" {
		return nil, nil
	}
	n := strings.Count(s, ",") + 1
	if n > MaxRanges {
		return nil, fmt.Errorf("%w: %d ranges, at most %d", ErrRanges, n, MaxRanges)
	}
	r := make(Ranges, 0, n)
	for part := range strings.SplitSeq(s, ",") {
		first, last, isRange := strings.Cut(part, "-")
		x, ok := Range{}, false
		if x.First, ok = parseSeq(first); ok {
			if x.Last = x.First; isRange {
				x.Last, ok = parseSeq(last)
				ok = ok && x.First < x.Last
			}
		}
		if !ok {
			return nil, fmt.Errorf("%w: %.50q: want rising ranges such as 17-42,45", ErrRanges, part)
		}
		if len(r) > 0 && x.First-1 <= r.Last() {
			return nil, fmt.Errorf("%w: %.50q does not leave a gap after %d", ErrRanges, part, r.Last())
		}
		r = append(r, x)
	}
	return r, nil
}

// AppendBinary appends the binary form to dst: the number of ranges, then for each the distance from the last
// one's end and its length less one, all as varints.
func (r Ranges) AppendBinary(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(r)))
	end := Seq(0)
	for _, x := range r {
		dst = binary.AppendUvarint(dst, uint64(x.First-end))
		dst = binary.AppendUvarint(dst, uint64(x.Last-x.First))
		end = x.Last
	}
	return dst
}

// ReadRanges reads the binary form from the front of b and returns what follows it. It accepts only the output of
// AppendBinary. It allocates at most eight times len(b).
func ReadRanges(b []byte) (r Ranges, rest []byte, err error) {
	n, b, ok := readUvarint(b)
	if !ok {
		return nil, nil, fmt.Errorf("%w: truncated or malformed count", ErrRanges)
	}
	if n > MaxRanges || n > uint64(len(b)/2) { // a range takes two bytes or more
		return nil, nil, fmt.Errorf("%w: %d ranges in %d bytes, at most %d", ErrRanges, n, len(b), MaxRanges)
	}
	if n > 0 {
		r = make(Ranges, n)
	}
	end := Seq(0)
	for i := range r {
		var gap, more uint64
		var ok1, ok2 bool
		gap, b, ok1 = readUvarint(b)
		more, b, ok2 = readUvarint(b)
		switch {
		case !ok1 || !ok2:
			return nil, nil, fmt.Errorf("%w: truncated or malformed at range %d of %d", ErrRanges, i+1, n)
		case gap == 0, gap == 1 && i > 0:
			return nil, nil, fmt.Errorf("%w: range %d begins at zero, overlaps or touches the one before", ErrRanges, i+1)
		case gap > math.MaxUint64-uint64(end), more > math.MaxUint64-uint64(end)-gap:
			return nil, nil, fmt.Errorf("%w: range %d overflows", ErrRanges, i+1)
		}
		first := end + Seq(gap)
		end = first + Seq(more)
		r[i] = Range{first, end}
	}
	return r, b, nil
}

// search returns the index of the first range that ends at s or later.
func (r Ranges) search(s Seq) int {
	// Positions only rise, so the answer is nearly always the last range or past it.
	if n := len(r); n == 0 || r[n-1].Last < s {
		return n
	} else if n == 1 || r[n-2].Last < s {
		return n - 1
	}
	i, j := 0, len(r)
	for i < j {
		if h := (i + j) / 2; r[h].Last < s {
			i = h + 1
		} else {
			j = h
		}
	}
	return i
}

// push appends x, which begins no earlier than the last range does.
func (r Ranges) push(x Range) Ranges {
	if n := len(r); n > 0 && x.First-1 <= r[n-1].Last {
		r[n-1].Last = max(r[n-1].Last, x.Last)
		return r
	}
	return append(r, x)
}

func (r Ranges) appendText(dst []byte) []byte {
	for i, x := range r {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendUint(dst, uint64(x.First), 10)
		if x.Last > x.First {
			dst = append(dst, '-')
			dst = strconv.AppendUint(dst, uint64(x.Last), 10)
		}
	}
	return dst
}

// parseSeq reads a sequence number written the one way this package writes it.
func parseSeq(s string) (Seq, bool) {
	if s == "" || s[0] < '1' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return Seq(n), err == nil
}

// readUvarint reads a varint from the front of b, and refuses one that is longer than it need be.
func readUvarint(b []byte) (n uint64, rest []byte, ok bool) {
	n, size := binary.Uvarint(b)
	if size <= 0 || size > 1 && b[size-1] == 0 {
		return 0, nil, false
	}
	return n, b[size:], true
}
