package sim

import (
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// A trace remembers the last things that happened in a world, and a hash of all.
type trace struct {
	plan  *topology.Plan
	lines [traceLines]line
	n     uint64
	hash  uint64
}

const traceLines = 80

// A line is one thing that happened. It is written out only when somebody wants to read it.
type line struct {
	step    uint64
	now     uint64
	what    string
	who     msgid.Alias
	inc     msgid.Incarnation
	to      msgid.Alias
	payload []byte // of a message
	a, b    uint64
	note    string
}

func (t *trace) add(l line) {
	t.lines[t.n%traceLines] = l
	t.n++
	h := t.hash
	for _, v := range [...]uint64{
		l.now, hashOf(l.what), hashOf(l.who.Operator), uint64(l.who.Index), uint64(l.inc), hashOf(l.to.Operator), uint64(l.to.Index),
		uint64(crc32.ChecksumIEEE(l.payload)), l.a, l.b,
	} {
		h = (h ^ v) * 0x9e3779b97f4a7c15
		h ^= h >> 29
	}
	t.hash = h
}

// last returns the last lines, oldest first.
func (t *trace) last(most int) string {
	var b strings.Builder
	from := uint64(0)
	if n := uint64(min(most, traceLines)); t.n > n {
		from = t.n - n
	}
	for i := from; i < t.n; i++ {
		l := &t.lines[i%traceLines]
		fmt.Fprintf(&b, "%6d %5d ms  %-10s %s/%d", l.step, l.now, l.what, l.who, l.inc)
		if l.to.Operator != "" {
			fmt.Fprintf(&b, " > %s", l.to)
		}
		if l.payload != nil {
			fmt.Fprintf(&b, "  %s", t.describe(l.payload))
		}
		if l.a != 0 || l.b != 0 {
			fmt.Fprintf(&b, "  %d %d", l.a, l.b)
		}
		if l.note != "" {
			fmt.Fprintf(&b, "  %s", l.note)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func (t *trace) describe(payload []byte) string {
	name := func(n uint32) msgid.Channel {
		if ch := t.plan.Channel(n); ch != nil {
			return ch.ID
		}
		return msgid.Channel{}
	}
	if channel.IsSignal(payload) {
		s, err := channel.DecodeSignal(payload)
		if err != nil {
			return "damaged signal"
		}
		text := s.Describe(name(s.Channel))
		if s.Kind == channel.Ack {
			text += fmt.Sprintf(" wave %d", s.Wave)
		}
		return fmt.Sprintf("%s from inc %d for inc %d", text, s.Incarnation, s.For)
	}
	f, err := channel.Decode(payload)
	if err != nil {
		return "damaged frame"
	}
	return fmt.Sprintf("FRAME %v#%d-%d of inc %d (%08x to %08x)", name(f.Channel), f.First, f.Last(), f.Incarnation, f.Before, f.After)
}
