package state

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// keepField is the remedy for a type that lacks a part of what is stored.
const keepField = "keep the old type and add fields to it, or give the map a new name"

// matchStored returns where the fields of values that were stored under another name are in t: the types have the same
// fields, or t has gained some, in any order. The names come from a snapshot, so nothing about them is certain.
func matchStored(name string, t reflect.Type) ([]field, error) {
	m := matcher{rest: name, whole: t}
	m.match(t, 0, "")
	if m.err == nil && m.rest != "" {
		m.fail("", "there is more than that: %q", m.rest)
	}
	return m.fields, m.err
}

// A matcher walks over the name of a kind, as flatten writes it, and over a type.
type matcher struct {
	rest   string // of the name
	whole  reflect.Type
	fields []field // in the order in which they are stored
	err    error
}

func (m *matcher) fail(path, reason string, args ...any) {
	if m.err == nil {
		m.err = fmt.Errorf("%w: %v%s %s: %s", ErrKind, m.whole, path, fmt.Sprintf(reason, args...), keepField)
	}
}

// match matches what the name goes on with to a type that is at an offset in the whole.
func (m *matcher) match(t reflect.Type, at uintptr, path string) {
	switch {
	case m.err != nil:
	case marshals(t):
		m.fail(path, "is %v now, which has a form of its own", t)
	case m.take("{"):
		m.matchStruct(t, at, path)
	case m.take("["):
		m.matchArray(t, at, path)
	default:
		stored := m.word(" }")
		if one := nameOfOne(t); one != stored {
			m.fail(path, "is stored as %.40q and is %v now", stored, t)
			return
		}
		if m.fields = append(m.fields, field{at, t.Kind()}); len(m.fields) > maxFields {
			m.fail(path, "is one too many")
		}
	}
}

func (m *matcher) matchStruct(t reflect.Type, at uintptr, path string) {
	if t.Kind() != reflect.Struct {
		m.fail(path, "is stored as a struct and is %v now", t)
		return
	}
	found := make(map[int]bool)
	for n := 0; m.err == nil && !m.take("}"); n++ {
		if n > 0 && !m.take(" ") {
			m.fail(path, "is stored as nothing known: %.40q", m.rest)
			return
		}
		name := m.word(":")
		i := m.find(t, name, found)
		if i < 0 || !m.take(":") {
			m.fail(path+"."+name, "is stored and %v has no such field, so it would be lost", t)
			return
		}
		found[i] = true
		f := t.Field(i)
		m.match(f.Type, at+f.Offset, path+"."+name)
	}
}

// find returns the first field of a name that was not found before, or -1.
func (m *matcher) find(t reflect.Type, name string, found map[int]bool) int {
	for i := range t.NumField() {
		if f := t.Field(i); f.Name == name && !found[i] && f.Tag.Get("msgpack") != "-" {
			return i
		}
	}
	return -1
}

func (m *matcher) matchArray(t reflect.Type, at uintptr, path string) {
	length := m.word("]")
	if t.Kind() != reflect.Array || t.Len() > maxFields || strconv.Itoa(t.Len()) != length {
		m.fail(path, "is stored as an array of %.20s and is %v now", length, t)
		return
	}
	m.take("]")
	elem := m.rest
	for i := 0; i < t.Len() && m.err == nil; i++ {
		m.rest = elem
		m.match(t.Elem(), at+uintptr(i)*t.Elem().Size(), path+"["+strconv.Itoa(i)+"]")
	}
}

// take goes past a prefix, if the name goes on with it.
func (m *matcher) take(prefix string) (ok bool) {
	m.rest, ok = strings.CutPrefix(m.rest, prefix)
	return ok
}

// word goes to the first of some letters, or to the end, and returns what comes before it.
func (m *matcher) word(end string) string {
	i := strings.IndexAny(m.rest, end)
	if i < 0 {
		i = len(m.rest)
	}
	word := m.rest[:i]
	m.rest = m.rest[i:]
	return word
}
