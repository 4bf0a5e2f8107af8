package channel

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/askback/askback/msgid"
)

// A SignalKind is the meaning of a signal.
type SignalKind uint8

// The kinds of signal. Those from the target go to the channel's source, and the other way round.
const (
	// Hello, from the target: I have been restored. Seq is my restore position: the last sequence number that
	// my state covers. Have and Sum are as in an ACK.
	Hello SignalKind = iota + 1
	// Mark, from the source, is the high-water mark: Seq is the highest sequence number released so far. For is the
	// incarnation of the target if the mark answers its hello, 0 if it answers none.
	Mark
	// Ack, from the target: Seq is stable (a durable snapshot covers it), all items up to Have have arrived and have the
	// running checksum Sum, all up to Consumed have been consumed (for flow control). Wave is the snapshot wave it belongs
	// to.
	Ack
	// Ask, from the target: resend exactly Ranges. Seq is the restore position of the asking incarnation.
	Ask
	// Refuse, from the source: the target asks for tuples that an earlier incarnation of it had reported as stable. Seq is
	// that stable position, Have the restore position of the asker: its log has gone back in time.
	Refuse
)

var kindNames = [...]string{Hello: "HELLO", Mark: "MARK", Ack: "ACK", Ask: "ASK", Refuse: "REFUSE"}

// String returns the name as traces show it, "ASK".
func (k SignalKind) String() string {
	if k < Hello || k > Refuse {
		return fmt.Sprintf("SIGNAL(%d)", uint8(k))
	}
	return kindNames[k]
}

// SignalFlags add to a signal's meaning.
type SignalFlags uint8

// The flags of signals.
const (
	// Greet, on a mark: the source is new and does not know its target yet; answer with an ACK.
	Greet SignalFlags = 1 << iota
	// Urge, on a mark: the source retains much; checkpoint soon.
	Urge
	// Ended, on a mark: Seq is the last that there will ever be.
	Ended
	// Starving, on a mark: the source waits for the target's credit.
	Starving
	// Full, on a mark: the source is at the hard bound of retention and has stopped consuming.
	Full
	// ReplayDebt, on an ACK: the target was restored, and repeats earlier work for which others wait. The source must send
	// to it, even beyond its bounds.
	ReplayDebt
	// Committed, of a checkpoint: Wave is one that all tasks have, and no rollback goes before it.
	Committed
)

var flagNames = [...]string{"greet", "urge", "ended", "starving", "full", "replay debt", "committed"}

// String returns the names of the flags that are set, "greet,urge".
func (f SignalFlags) String() string {
	var names []string
	for i, name := range flagNames {
		if f&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ",")
}

// A Signal is a message between the two ends of a channel. Each kind lists the fields that it uses; the others are
// zero.
type Signal struct {
	Kind        SignalKind
	Flags       SignalFlags
	Plan        uint64            // version of the plan that numbers the channel
	Channel     uint32            // the channel's number in the plan
	Incarnation msgid.Incarnation // of the sender
	For         msgid.Incarnation // of the receiver that is answered; 0 any
	Seq         msgid.Seq
	Have        msgid.Seq
	Consumed    msgid.Seq
	Wave        uint64
	Sum         uint32
	Ranges      msgid.Ranges // of an ASK; at most MaxRanges
}

// MaxRanges is how many ranges one signal holds. An ASK for more is cut to the lowest; the rest is asked for when those
// have arrived.
const MaxRanges = 4096

const (
	signalFixed = 61 // bytes before the ranges
	signalTail  = 4  // the checksum
)

// IsSignal reports whether b claims to be a signal. On Data, frames and high-water marks share a subject.
func IsSignal(b []byte) bool { return len(b) >= 2 && b[0] == 'A' && b[1] == 'S' }

// AppendBinary appends the encoded signal to dst. Ranges beyond MaxRanges are left out.
func (s *Signal) AppendBinary(dst []byte) []byte {
	start := len(dst)
	dst = append(dst, 'A', 'S', version, byte(s.Kind))
	dst = binary.LittleEndian.AppendUint32(dst, s.Channel)
	dst = binary.LittleEndian.AppendUint64(dst, s.Plan)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(s.Incarnation))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(s.For))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Seq))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Have))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(s.Consumed))
	dst = binary.LittleEndian.AppendUint64(dst, s.Wave)
	dst = binary.LittleEndian.AppendUint32(dst, s.Sum)
	dst = append(dst, byte(s.Flags))
	dst = s.Ranges[:min(len(s.Ranges), MaxRanges)].AppendBinary(dst)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// DecodeSignal reads the signal that is the whole of b. It keeps no reference to b.
func DecodeSignal(b []byte) (Signal, error) {
	if !IsSignal(b) {
		return Signal{}, fmt.Errorf("%w: %d bytes without a signal's magic", ErrForeign, len(b))
	}
	if len(b) < signalFixed+signalTail {
		return Signal{}, fmt.Errorf("%w: %d bytes, a signal has at least %d", ErrShort, len(b), signalFixed+signalTail)
	}
	if b[2] != version {
		return Signal{}, fmt.Errorf("%w: signal of version %d, this build reads %d", ErrVersion, b[2], version)
	}
	body, sum := b[:len(b)-signalTail], binary.LittleEndian.Uint32(b[len(b)-signalTail:])
	if crc32.Checksum(body, castagnoli) != sum {
		return Signal{}, fmt.Errorf("%w: signal checksum", ErrDamaged)
	}
	s := Signal{
		Kind:        SignalKind(b[3]),
		Channel:     binary.LittleEndian.Uint32(b[4:]),
		Plan:        binary.LittleEndian.Uint64(b[8:]),
		Incarnation: msgid.Incarnation(binary.LittleEndian.Uint32(b[16:])),
		For:         msgid.Incarnation(binary.LittleEndian.Uint32(b[20:])),
		Seq:         msgid.Seq(binary.LittleEndian.Uint64(b[24:])),
		Have:        msgid.Seq(binary.LittleEndian.Uint64(b[32:])),
		Consumed:    msgid.Seq(binary.LittleEndian.Uint64(b[40:])),
		Wave:        binary.LittleEndian.Uint64(b[48:]),
		Sum:         binary.LittleEndian.Uint32(b[56:]),
		Flags:       SignalFlags(b[60]),
	}
	if s.Kind < Hello || s.Kind > Refuse {
		return Signal{}, fmt.Errorf("%w: signal of unknown kind %d", ErrDamaged, b[3])
	}
	ranges, rest, err := msgid.ReadRanges(body[signalFixed:])
	switch {
	case err != nil:
		return Signal{}, fmt.Errorf("%w: %s: %w", ErrDamaged, s.Kind, err)
	case len(rest) > 0:
		return Signal{}, fmt.Errorf("%w: %s with %d bytes after its ranges", ErrDamaged, s.Kind, len(rest))
	case len(ranges) > MaxRanges:
		return Signal{}, fmt.Errorf("%w: %s with %d ranges, at most %d are allowed", ErrDamaged, s.Kind, len(ranges), MaxRanges)
	}
	s.Ranges = ranges
	return s, nil
}

// Describe returns the signal as traces show it, "ASK split.1>count.3#17-42". The caller passes the channel's name, since
// the signal holds only its number.
func (s *Signal) Describe(c msgid.Channel) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", s.Kind, c)
	switch s.Kind {
	case Hello:
		fmt.Fprintf(&b, " restored at #%d", s.Seq)
	case Mark:
		fmt.Fprintf(&b, "#%d", s.Seq)
		if s.For != 0 {
			fmt.Fprintf(&b, " for incarnation %d", s.For)
		}
	case Ack:
		fmt.Fprintf(&b, " stable #%d have #%d consumed #%d", s.Seq, s.Have, s.Consumed)
	case Ask:
		fmt.Fprintf(&b, "#%s", s.Ranges)
	case Refuse:
		fmt.Fprintf(&b, " stable #%d restored at #%d", s.Seq, s.Have)
	}
	if s.Flags != 0 {
		fmt.Fprintf(&b, " (%s)", s.Flags)
	}
	return b.String()
}
