package msgid

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// An Alias is a task's logical name, written "operator.index" ("count.3"). It outlives restarts and moves between
// machines; the task's Incarnation changes with each start.
type Alias struct {
	Operator string
	Index    int
}

// An Incarnation is the number of an alias's start. The first start is 1; the higher one wins.
type Incarnation uint32

// String returns the text form, "count.3".
func (a Alias) String() string { return a.Operator + "." + strconv.Itoa(a.Index) }

// ParseAlias reads the text form of an alias.
func ParseAlias(s string) (Alias, error) {
	op, index, ok := strings.Cut(s, ".")
	n, err := strconv.Atoi(index)
	if !ok || err != nil || n < 0 || strconv.Itoa(n) != index || !ValidName(op) {
		return Alias{}, fmt.Errorf("msgid: %.80q is not a task alias: want operator.index, such as count.3", s)
	}
	return Alias{Operator: op, Index: n}, nil
}

// MarshalText returns the text form; that of the zero Alias is empty. So aliases are strings in JSON.
func (a Alias) MarshalText() ([]byte, error) {
	if a == (Alias{}) {
		return nil, nil
	}
	return []byte(a.String()), nil
}

// UnmarshalText is the inverse of MarshalText.
func (a *Alias) UnmarshalText(text []byte) (err error) {
	if len(text) == 0 {
		*a = Alias{}
		return nil
	}
	*a, err = ParseAlias(string(text))
	return err
}

// Compare orders aliases by operator, then by index: it returns -1, 0 or +1.
func (a Alias) Compare(b Alias) int {
	return cmp.Or(strings.Compare(a.Operator, b.Operator), cmp.Compare(a.Index, b.Index))
}

// MaxName is the longest name of a topology, operator, stream or field, in bytes.
const MaxName = 64

// ValidName reports whether s may name a topology, an operator or a stream: 1 to 64 of A-Z a-z 0-9 _ -.
// Such a name is safe in a NATS subject, in a file name and in the text forms of this package.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
