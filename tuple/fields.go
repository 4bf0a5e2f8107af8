package tuple

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/askback/askback/msgid"
)

// MaxFields is how many fields a tuple may have.
const MaxFields = 1024

// ErrFields occurs when field names are not usable: too long, with letters that a name may not have, given
// twice, or too many.
var ErrFields = errors.New("tuple: bad field names")

// Fields is the names of a stream's fields, in order. It does not change, and any goroutine may read it. A nil
// Fields has no names.
type Fields struct {
	names []string
	index map[string]int // nil for few names: there comparing is faster than hashing
}

// NewFields makes Fields of names, which follow msgid.ValidName and differ from each other.
func NewFields(names ...string) (*Fields, error) {
	if len(names) > MaxFields {
		return nil, fmt.Errorf("%w: %d fields, at most %d", ErrFields, len(names), MaxFields)
	}
	index := make(map[string]int, len(names))
	for i, name := range names {
		if !msgid.ValidName(name) {
			return nil, fmt.Errorf("%w: %.80q: want 1 to %d of A-Z a-z 0-9 _ -", ErrFields, name, msgid.MaxName)
		}
		if _, twice := index[name]; twice {
			return nil, fmt.Errorf("%w: %q is given twice", ErrFields, name)
		}
		index[name] = i
	}
	if len(names) <= 8 {
		index = nil
	}
	return &Fields{slices.Clone(names), index}, nil
}

// Len returns the number of fields.
func (f *Fields) Len() int {
	if f == nil {
		return 0
	}
	return len(f.names)
}

// Index returns the position of the field called name, -1 if there is none.
func (f *Fields) Index(name string) int {
	if f == nil {
		return -1
	}
	if f.index == nil {
		return slices.Index(f.names, name)
	}
	if i, ok := f.index[name]; ok {
		return i
	}
	return -1
}

// Names returns a copy of the names.
func (f *Fields) Names() []string {
	if f == nil {
		return nil
	}
	return slices.Clone(f.names)
}

// String returns the names as "word, n".
func (f *Fields) String() string {
	if f == nil {
		return ""
	}
	return strings.Join(f.names, ", ")
}

// name returns what to call field i in an error.
func (f *Fields) name(i int) string {
	if f == nil || uint(i) >= uint(len(f.names)) {
		return fmt.Sprintf("#%d", i)
	}
	return f.names[i]
}
