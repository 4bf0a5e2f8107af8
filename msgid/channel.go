package msgid

import (
	"cmp"
	"fmt"
	"strings"
)

// A Channel is a virtual channel: the tuples of one stream that one source task sends to one target task.
// It stands for whatever physical connection carries them today. Its text form is "split.1>count.3", or
// "split.1:errors>count.3" for a stream with a name.
type Channel struct {
	Source Alias
	Stream string // "" is the default stream
	Target Alias
}

// String returns the text form.
func (c Channel) String() string {
	if c.Stream == "" {
		return c.Source.String() + ">" + c.Target.String()
	}
	return c.Source.String() + ":" + c.Stream + ">" + c.Target.String()
}

// ParseChannel reads the text form of a channel.
func ParseChannel(s string) (Channel, error) {
	bad := func() (Channel, error) {
		return Channel{}, fmt.Errorf("msgid: %.200q is not a virtual channel: want source>target, such as split.1>count.3 or split.1:errors>count.3", s)
	}
	from, to, ok := strings.Cut(s, ">")
	if !ok {
		return bad()
	}
	from, stream, named := strings.Cut(from, ":")
	if named && !ValidName(stream) {
		return bad()
	}
	source, err := ParseAlias(from)
	if err != nil {
		return bad()
	}
	target, err := ParseAlias(to)
	if err != nil {
		return bad()
	}
	return Channel{Source: source, Stream: stream, Target: target}, nil
}

// Compare orders channels by source, then by stream, then by target: it returns -1, 0 or +1.
func (c Channel) Compare(d Channel) int {
	return cmp.Or(c.Source.Compare(d.Source), strings.Compare(c.Stream, d.Stream), c.Target.Compare(d.Target))
}

// maxChannel is the longest text form of a channel: three names, two indexes of 19 digits, and what joins them.
const maxChannel = 3*MaxName + 2*19 + 4
