package codec

import (
	"bytes"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/internal/wire"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// A TypeError reports why values of a Go type cannot be carried in tuples, or cannot be keys: every reason at once.
type TypeError struct {
	Type     string    // the Go type
	Use      string    // "a tuple" or "a key"
	Problems []Problem // at least one
}

// A Problem is one reason, and what to do about it.
type Problem struct {
	Path   string // where it is, such as Order.Items[].Price
	Reason string
	Remedy string
}

// Error lists the problems, a line each if there are several.
func (e *TypeError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "codec: %s cannot be %s:", e.Type, e.Use)
	for _, p := range e.Problems {
		separator := " "
		if len(e.Problems) > 1 {
			separator = "\n\t"
		}
		fmt.Fprintf(&b, "%s%s %s: %s", separator, p.Path, p.Reason, p.Remedy)
	}
	return b.String()
}

// maxElement bounds the memory that one byte of a tuple can cause: an empty map stands for a struct of any size.
const maxElement = 64 << 10

// A deriver derives the coders of one type and of what it consists of.
type deriver struct {
	key      bool // for keys
	coders   map[reflect.Type]*coder
	above    []reflect.Type // that are being derived
	problems []Problem
}

func (d *deriver) problem(path, remedy, reason string, args ...any) {
	d.problems = append(d.problems, Problem{Path: path, Reason: fmt.Sprintf(reason, args...), Remedy: remedy})
}

func (d *deriver) failed(t reflect.Type) error {
	if len(d.problems) == 0 {
		return nil
	}
	use := "carried in a tuple"
	if d.key {
		use = "a key"
	}
	return &TypeError{Type: t.String(), Use: use, Problems: d.problems}
}

const (
	leaveOut  = "leave the field out with the tag `askback:\"-\"`"
	marshaler = "give the type MarshalBinary and UnmarshalBinary"
)

// derive returns the coder of a type that is at path. After a problem it returns any coder.
func (d *deriver) derive(t reflect.Type, path string) *coder {
	if c, ok := d.coders[t]; ok {
		return c
	}
	if slices.Contains(d.above, t) {
		d.problem(path, "refer to other values by a key, or "+marshaler, "is of type %v, which contains itself", t)
		return scalar(kindBool)
	}
	d.above = append(d.above, t)
	c := d.make(t, path)
	d.above = d.above[:len(d.above)-1]
	if c.nests >= tuple.MaxDepth {
		d.problem(path, "flatten the type, or "+marshaler, "nests arrays and maps %d deep, and a tuple's may at most %d", c.nests, tuple.MaxDepth-1)
		c.nests = 0
	}
	d.coders[t] = c
	return c
}

func (d *deriver) make(t reflect.Type, path string) *coder {
	if isTime(t) {
		return scalar(kindTime)
	}
	if form := formOf(t); form != noForm {
		if by := promoted(t); by != "" {
			d.problem(path, "name the field instead of embedding it", "is of type %v, which has the form of its embedded field %s, and its other fields would be lost", t, by)
		}
		if d.key {
			d.problem(path, "use the text or bytes of the value", "is of type %v, which has a form of its own", t)
		}
		if form == binaryForm {
			return binaryOf(t)
		}
		return textOf(t)
	}
	if k := scalarKind(t); k != other {
		if d.key && (k == kindFloat64 || k == kindFloat32) {
			return keyFloat(k)
		}
		return scalar(k)
	}
	switch t.Kind() {
	case reflect.Slice:
		if isByte(t.Elem()) {
			return scalar(kindBytes)
		}
		return d.slice(t, path)
	case reflect.Array:
		if isByte(t.Elem()) {
			return bytesOf(t.Len())
		}
		elem := d.derive(t.Elem(), path+"[]")
		if d.key {
			return repeated(t.Len(), t.Elem().Size(), elem)
		}
		return arrayOf(t.Len(), t.Elem().Size(), elem)
	case reflect.Map:
		return d.mapping(t, path)
	case reflect.Pointer:
		return d.pointer(t, path)
	case reflect.Struct:
		return d.structure(t, path)
	case reflect.Interface:
		d.problem(path, "use a concrete type", "is of interface type %v, and its reader could not know the type of the value", t)
	case reflect.Complex64, reflect.Complex128:
		d.problem(path, "use two floating-point numbers", "is of type %v, which has no form in a tuple", t)
	default:
		d.problem(path, leaveOut, "is of type %v, which has a meaning in one process only", t)
	}
	return scalar(kindBool)
}

func (d *deriver) slice(t reflect.Type, path string) *coder {
	if d.key {
		d.problem(path, "use an array, a string or []byte", "is of type %v", t)
		return scalar(kindBool)
	}
	elem := d.derive(t.Elem(), path+"[]")
	d.limit(t.Elem(), path+"[]")
	return sliceOf(t, elem)
}

func (d *deriver) mapping(t reflect.Type, path string) *coder {
	if d.key {
		d.problem(path, "use an array or a struct", "is of type %v", t)
		return scalar(kindBool)
	}
	key, elem := d.derive(t.Key(), path+"[key]"), d.derive(t.Elem(), path+"[]")
	if key.nilable {
		d.problem(path+"[key]", "use a key that is a value", "is of type %v, and reading would not give the same pointer", t.Key())
	}
	d.limit(t.Key(), path+"[key]")
	d.limit(t.Elem(), path+"[]")
	return mapOf(t, key, elem)
}

func (d *deriver) pointer(t reflect.Type, path string) *coder {
	if d.key {
		d.problem(path, "use "+t.Elem().String(), "is of pointer type %v", t)
		return scalar(kindBool)
	}
	elem := d.derive(t.Elem(), path)
	if elem.nilable {
		d.problem(path, "use "+t.Elem().String(), "is of type %v, and a pointer to nil could not be told from nil", t)
	}
	d.limit(t.Elem(), path)
	return pointerTo(t.Elem(), elem)
}

// limit refuses large types where any number of them may stand.
func (d *deriver) limit(t reflect.Type, path string) {
	if t.Size() > maxElement {
		d.problem(path, "use slices within it instead of arrays", "takes %d bytes of memory each, and at most %d are allowed in a slice, a map or behind a pointer", t.Size(), maxElement)
	}
}

func (d *deriver) structure(t reflect.Type, path string) *coder {
	members, _ := d.members(t, path)
	if d.key {
		return sequenceOf(members)
	}
	slices.SortFunc(members, func(a, b member) int { return bytes.Compare(a.head, b.head) })
	return structOf(members)
}

// members returns the fields of a struct by which it is carried, in their order. all is true if these are all it has.
func (d *deriver) members(t reflect.Type, path string) (members []member, all bool) {
	all = d.collect(t, path, 0, &members)
	seen := make(map[string]bool, len(members))
	for _, m := range members {
		if seen[m.name] {
			d.problem(path, "rename one with a tag, `askback:\"other\"`", "has two fields of the name %s", m.name)
		}
		seen[m.name] = true
	}
	if len(members) > tuple.MaxFields {
		d.problem(path, "group them in nested structs or slices", "has %d fields, and at most %d are allowed", len(members), tuple.MaxFields)
	}
	return members, all
}

// collect appends the fields of a struct that is at an offset in another.
func (d *deriver) collect(t reflect.Type, path string, offset uintptr, members *[]member) (all bool) {
	all = true
	for i := range t.NumField() {
		f := t.Field(i)
		at := path + "." + f.Name
		tag, tagged := f.Tag.Lookup("askback")
		switch {
		case f.Name == "_":
			continue
		case tag == "-":
			all = false
			continue
		case f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct && !isTime(f.Type) && formOf(f.Type) == noForm:
			// As if its fields were written here.
			all = d.collect(f.Type, at, offset+f.Offset, members) && all
			continue
		case f.Anonymous && !tagged && f.Type.Kind() == reflect.Pointer:
			d.problem(at, "embed the struct itself, or name the field", "is an embedded pointer, whose fields may not be there")
			continue
		case !f.IsExported():
			d.problem(at, "export it, "+leaveOut+", or "+marshaler, "is not exported and would be lost")
			continue
		}
		name := f.Name
		if tagged {
			name = tag
		}
		if !msgid.ValidName(name) {
			d.problem(at, "give it a name with a tag, `askback:\"name\"`", "has the name %.80q, and names are 1 to %d of A-Z a-z 0-9 _ -", name, msgid.MaxName)
			continue
		}
		*members = append(*members, member{
			name: name, head: append(wire.AppendStr(nil, len(name)), name...), offset: offset + f.Offset, coder: d.derive(f.Type, at),
		})
	}
	return all
}

// isTime reports whether a type is time.Time, or is defined as it without having a form of its own.
func isTime(t reflect.Type) bool {
	when := reflect.TypeFor[time.Time]()
	return t == when || t.Kind() == reflect.Struct && t.ConvertibleTo(when) && formOf(t) == noForm
}

// isByte reports whether a slice or an array of a type is bytes.
func isByte(t reflect.Type) bool { return t.Kind() == reflect.Uint8 && formOf(t) == noForm }

// A form is how a type carries itself.
type form uint8

const (
	noForm form = iota
	binaryForm
	textForm
)

// formOf returns the form of a type that can be written in it and read from it.
func formOf(t reflect.Type) form {
	if t.Kind() == reflect.Pointer || t.Kind() == reflect.Interface {
		return noForm
	}
	both := func(w, r reflect.Type) bool {
		p := reflect.PointerTo(t)
		return p.Implements(w) && p.Implements(r)
	}
	switch {
	case both(reflect.TypeFor[encoding.BinaryMarshaler](), reflect.TypeFor[encoding.BinaryUnmarshaler]()):
		return binaryForm
	case both(reflect.TypeFor[encoding.TextMarshaler](), reflect.TypeFor[encoding.TextUnmarshaler]()):
		return textForm
	}
	return noForm
}

// promoted returns the embedded field whose form a struct has taken over besides having other fields, or "".
func promoted(t reflect.Type) string {
	if t.Kind() != reflect.Struct || t.NumField() == 1 {
		return ""
	}
	for i := range t.NumField() {
		f := t.Field(i)
		embedded := f.Type
		if embedded.Kind() == reflect.Pointer {
			embedded = embedded.Elem()
		}
		if f.Anonymous && formOf(embedded) != noForm {
			return f.Name
		}
	}
	return ""
}
