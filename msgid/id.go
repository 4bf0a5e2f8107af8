package msgid

import (
	"fmt"
	"strconv"
	"strings"
)

// A Seq is a sequence number on one channel: 1, 2, 3 … without holes. Zero means "none yet".
type Seq uint64

// An ID is a message id: the channel a tuple travels and its sequence number there, "split.1>count.3#42".
type ID struct {
	Channel Channel
	Seq     Seq
}

// String returns the text form.
func (id ID) String() string {
	return id.Channel.String() + "#" + strconv.FormatUint(uint64(id.Seq), 10)
}

// ParseID reads the text form of a message id.
func ParseID(s string) (ID, error) {
	channel, seq, _ := strings.Cut(s, "#")
	n, ok := parseSeq(seq)
	c, err := ParseChannel(channel)
	if !ok || err != nil {
		return ID{}, fmt.Errorf("msgid: %.200q is not a message id: want channel#number, such as split.1>count.3#42", s)
	}
	return ID{Channel: c, Seq: n}, nil
}

// A Range is the sequence numbers First to Last, both included. It is empty when Last < First.
type Range struct{ First, Last Seq }
