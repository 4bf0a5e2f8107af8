package tuple

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/askback/askback/internal/wire"
)

// Summary renders the tuple for errors and logs: its fields by name with their values, {word: "to", n: 3}, in no more
// than max bytes. Fields without a name are #0, #1 and so on.
//
// Text is quoted, and bytes that are not UTF-8 are hexadecimal, 0x00ff. A value that does not fit is cut, and its
// length follows: "a long li…" (48 bytes). Long values share the room that short ones leave. Fields that do not fit at
// all are counted: {a: 1, b: 2, … 40 more}.
//
// Summary leaves Err as it is and never panics. A Tuple without a cursor, or whose cursor is at no tuple, is {}.
func (t Tuple) Summary(max int) string {
	if t.c == nil || t.c.n == 0 {
		return fitting(max, "{}")
	}
	n := t.c.n
	labels, sizes := t.c.measureSummary(max)
	shown, room := len(labels), 0
	for ; shown > 0; shown-- {
		room = max - len("{}") - len(moreFields(n-shown))
		least := 0
		for i := range shown {
			room -= len(labels[i])
			least += min(sizes[i], leastShown)
		}
		if least <= room {
			break
		}
	}
	if shown == 0 {
		return fitting(max, fmt.Sprintf("{…} (%d fields)", n), "{…}")
	}
	limit := share(sizes[:shown], room)
	out := append(make([]byte, 0, max), '{')
	for i := range shown {
		out = append(out, labels[i]...)
		out, _ = appendShort(out, t.c.b[t.c.at[i]:t.c.end], limit)
	}
	out = append(out, moreFields(n-shown)...)
	return string(append(out, '}'))
}

// leastShown is how many bytes a value gets, if it needs them, before another field is shown.
const leastShown = 20

// measureSummary returns what to write before each value, and how long each value is, of as many fields as a summary
// of max bytes could show.
func (c *Cursor) measureSummary(max int) (labels []string, sizes []int) {
	for i, left := 0, max; i < c.n && left > 0; i++ {
		label := c.origin.Fields.name(i) + ": "
		if i > 0 {
			label = ", " + label
		}
		whole, _, ok := appendWhole(nil, c.b[c.at[i]:c.end], max)
		size := len(whole)
		if !ok {
			size = max
		}
		labels, sizes = append(labels, label), append(sizes, size)
		left -= len(label) + min(size, leastShown)
	}
	return labels, sizes
}

// share returns the largest limit for which the sizes, each cut to it, fit into room.
func share(sizes []int, room int) (limit int) {
	for {
		left, long := room, 0
		for _, size := range sizes {
			if size <= limit {
				left -= size
			} else {
				long++
			}
		}
		if long == 0 || left/long <= limit {
			return limit
		}
		limit = left / long
	}
}

func moreFields(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(", … %d more", n)
}

// fitting returns the first of the texts that is not longer than max, or "".
func fitting(max int, texts ...string) string {
	for _, s := range texts {
		if len(s) <= max {
			return s
		}
	}
	return ""
}

// appendShort appends the value that v begins with in at most limit bytes, cut if need be, and returns what follows
// it in v. The structure of v has been checked.
func appendShort(dst, v []byte, limit int) (out, rest []byte) {
	if out, rest, ok := appendWhole(dst, v, limit); ok {
		return out, rest
	}
	start := len(dst)
	end, _ := wire.Skip(v, 0, MaxDepth)
	v, rest = v[:end], v[end:]
	note := "…"
	switch {
	case wire.IsNest(v[0]):
		dst, note = appendParts(dst, v, limit)
	case isQuoted(v):
		c, _ := wire.Content(v)
		note = fmt.Sprintf("…\" (%d bytes)", len(c))
		dst = appendQuoted(append(dst, '"'), c, limit-1-len(note))
	default:
		if c, ok := wire.Content(v); ok {
			note = fmt.Sprintf("… (%d bytes)", len(c))
			dst = append(dst, "0x"...)
			dst = hex.AppendEncode(dst, c[:min(len(c), max(0, limit-2-len(note))/2)])
		}
	}
	if len(dst)+len(note) > start+limit {
		dst, note = dst[:start], fitting(limit, "…")
	}
	return append(dst, note...), rest
}

// appendQuoted appends as many of the characters of text as fit into room bytes, as they stand between quotes.
func appendQuoted(dst, text []byte, room int) []byte {
	var quoted []byte
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		quoted = strconv.AppendQuote(quoted[:0], string(r))
		quoted = quoted[1 : len(quoted)-1]
		if room -= len(quoted); room < 0 {
			break
		}
		dst, text = append(dst, quoted...), text[size:]
	}
	return dst
}

// appendParts appends as much of an array or a map as fits into limit bytes, and returns what is to follow.
func appendParts(dst, v []byte, limit int) (out []byte, note string) {
	head, _, count := wire.Measure(v)
	open, closing, per, unit := "[", "]", 1, "elements"
	if wire.IsMap(v[0]) {
		open, closing, per, unit = "{", "}", 2, "entries"
	}
	note = fmt.Sprintf("…%s (%d %s)", closing, count/uint64(per), unit)
	end := len(dst) + limit - len(note)
	dst = append(dst, open...)
	rest := v[head:]
	for i := range int(count) {
		separator := ", "
		switch {
		case i == 0:
			separator = ""
		case i%per == 1:
			separator = ": "
		}
		room := end - len(dst) - len(separator) - len(", ")
		if room < 5 {
			if i > 0 {
				dst = append(dst, ", "...)
			}
			return dst, note
		}
		dst, rest = appendShort(append(dst, separator...), rest, room)
	}
	return dst, closing
}

// appendWhole appends all of the value that v begins with, and returns what follows it in v. It gives up, and ok is
// false, once that takes more than limit bytes. The structure of v has been checked.
func appendWhole(dst, v []byte, limit int) (out, rest []byte, ok bool) {
	start := len(dst)
	if !wire.IsNest(v[0]) {
		end, _ := wire.Skip(v, 0, 0)
		v, rest = v[:end], v[end:]
		c, isText := wire.Content(v)
		switch {
		case isText && len(c) > limit:
			return dst, nil, false
		case isQuoted(v):
			dst = strconv.AppendQuote(dst, string(c))
		case isText:
			dst = hex.AppendEncode(append(dst, "0x"...), c)
		default:
			dst = append(dst, scalarText(v)...)
		}
		return dst, rest, len(dst)-start <= limit
	}
	head, _, count := wire.Measure(v)
	open, closing, per := byte('['), byte(']'), 1
	if wire.IsMap(v[0]) {
		open, closing, per = '{', '}', 2
	}
	dst, rest = append(dst, open), v[head:]
	for i := range int(count) {
		switch {
		case i == 0:
		case i%per == 1:
			dst = append(dst, ": "...)
		default:
			dst = append(dst, ", "...)
		}
		if dst, rest, ok = appendWhole(dst, rest, limit-(len(dst)-start)); !ok {
			return dst, nil, false
		}
	}
	dst = append(dst, closing)
	return dst, rest, len(dst)-start <= limit
}

// isQuoted reports whether a value is text, to be shown between quotes.
func isQuoted(v []byte) bool {
	c, ok := wire.Content(v)
	return ok && !wire.IsBinary(v[0]) && utf8.Valid(c)
}

// scalarText renders a value that is neither text nor nested.
func scalarText(v []byte) string {
	switch c := v[0]; c {
	case wire.Nil:
		return "nil"
	case wire.False, wire.True:
		return strconv.FormatBool(c == wire.True)
	case wire.Float64:
		return strconv.FormatFloat(math.Float64frombits(binary.BigEndian.Uint64(v[1:])), 'g', -1, 64)
	case wire.Float32:
		return strconv.FormatFloat(float64(math.Float32frombits(binary.BigEndian.Uint32(v[1:]))), 'g', -1, 32)
	}
	if n, negative, ok := wire.Integer(v); ok {
		if negative {
			return strconv.FormatInt(int64(n), 10)
		}
		return strconv.FormatUint(n, 10)
	}
	if when, ok := wire.Timestamp(v); ok {
		return when.Format(time.RFC3339Nano)
	}
	return fmt.Sprintf("extension of %d bytes", len(v))
}
