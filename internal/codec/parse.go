package codec

import (
	"github.com/askback/askback/internal/wire"
	"github.com/askback/askback/tuple"
)

// text returns the content of the string or binary value that src begins with, and what follows it.
func text(src []byte, want string) (content, rest []byte, err *tuple.FieldError) {
	if len(src) == 0 {
		return nil, nil, missing(want)
	}
	content, ok := wire.Content(src)
	if !ok {
		return nil, nil, wrong(want, src)
	}
	return content, after(src), nil
}

// after returns what follows the value that src, which has been checked, begins with.
func after(src []byte) []byte {
	end, err := wire.Skip(src, 0, tuple.MaxDepth)
	if err != nil {
		return nil
	}
	return src[end:]
}

// elements returns how many elements the array that src begins with has, and where they begin.
func elements(src []byte, want string) (n int, rest []byte, err *tuple.FieldError) {
	if len(src) == 0 {
		return 0, nil, missing(want)
	}
	if !wire.IsArray(src[0]) {
		return 0, nil, wrong(want, src)
	}
	head, _, count := wire.Measure(src)
	return int(count), src[head:], nil
}

// entries returns how many entries the map that src begins with has, and where they begin.
func entries(src []byte) (n int, rest []byte, err *tuple.FieldError) {
	if len(src) == 0 {
		return 0, nil, missing("map")
	}
	if !wire.IsMap(src[0]) {
		return 0, nil, wrong("map", src)
	}
	head, _, count := wire.Measure(src)
	return int(count / 2), src[head:], nil
}

// entryName returns the name that src begins with, and the value that follows it; ok is false for a key that is not text.
func entryName(src []byte) (name, value []byte, ok bool) {
	if n := int(src[0] - wire.FixStr); n < 32 {
		return src[1 : 1+n], src[1+n:], true
	}
	name, ok = wire.Content(src)
	return name, after(src), ok
}

func wrong(want string, src []byte) *tuple.FieldError {
	return &tuple.FieldError{Want: want, Got: wire.Kind(src)}
}

func missing(want string) *tuple.FieldError {
	return &tuple.FieldError{Want: want, Got: "the end of the bytes"}
}

// within puts an error in a part of a value.
func within(err *tuple.FieldError, part string) *tuple.FieldError {
	err.Field = part + err.Field
	return err
}
