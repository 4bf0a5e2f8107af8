package files

import (
	"bytes"
	"encoding"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"time"

	"github.com/askback/askback/tuple"
)

// A formatter appends one value as a line, without line feed.
type formatter[V any] func(dst []byte, v V) ([]byte, error)

// formatterOf returns the formatter of values of type T that the options ask for.
func formatterOf[T any](o *options) (formatter[T], error) {
	f, err := givenFormatter[T](o)
	switch {
	case f != nil || err != nil:
		return f, err
	case o.json:
		return jsonOf[T]()
	}
	return tabbed[T]()
}

// tupleFormatter returns the formatter of tuples that the options ask for. Its error may also be that of the tuple.
func tupleFormatter(o *options) (formatter[tuple.Tuple], error) {
	f, err := givenFormatter[tuple.Tuple](o)
	switch {
	case err != nil:
		return nil, err
	case f == nil && o.json:
		f = jsonTuple
	case f == nil:
		f = tabbedTuple
	}
	return func(dst []byte, t tuple.Tuple) ([]byte, error) {
		dst, err := f(dst, t)
		if err == nil {
			err = t.Err()
		}
		return dst, err
	}, nil
}

// givenFormatter returns the formatter that the option Format has set, nil if it was not given.
func givenFormatter[V any](o *options) (formatter[V], error) {
	switch f := o.format.(type) {
	case nil:
		return nil, nil
	case func([]byte, V) []byte:
		return func(dst []byte, v V) ([]byte, error) { return f(dst, v), nil }, nil
	default:
		return nil, fmt.Errorf("files: Format was given a %T, and the values of this sink are of type %v: give it a func([]byte, %v) []byte",
			f, reflect.TypeFor[V](), reflect.TypeFor[V]())
	}
}

// tabbedTuple appends the values of a tuple with tabs between them.
func tabbedTuple(dst []byte, t tuple.Tuple) ([]byte, error) {
	for i := range t.Len() {
		if i > 0 {
			dst = append(dst, '\t')
		}
		switch v := t.Any(i).(type) {
		case string:
			dst = append(dst, v...)
		case []byte:
			dst = append(dst, v...)
		case int64:
			dst = strconv.AppendInt(dst, v, 10)
		case uint64:
			dst = strconv.AppendUint(dst, v, 10)
		case float64:
			dst = appendFloat(dst, v, 64)
		case bool:
			dst = strconv.AppendBool(dst, v)
		case time.Time:
			dst = appendTime(dst, v)
		case []any, map[string]any:
			var err error
			if dst, err = appendJSON(dst, v); err != nil {
				return dst, err
			}
		case nil:
		default:
			dst = fmt.Append(dst, v)
		}
	}
	return dst, nil
}

// jsonTuple appends a tuple as an object, its fields in their order.
func jsonTuple(dst []byte, t tuple.Tuple) ([]byte, error) {
	dst = append(dst, '{')
	for i, name := range t.Fields().Names() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(strconv.AppendQuote(dst, name), ':') // a field's name has only letters, digits, _ and -
		var err error
		if dst, err = appendJSON(dst, t.Any(i)); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// appendJSON appends a value as encoding/json writes it, without its care for HTML.
func appendJSON(dst []byte, v any) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	encoder := json.NewEncoder(buf)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return dst, fmt.Errorf("files: write as JSON: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), nil
}

// appendFloat appends the shortest form that reads back as the same number, with an exponent only for the very large and
// the very small, as JSON does.
func appendFloat(dst []byte, x float64, bits int) []byte {
	form := byte('f')
	if abs := math.Abs(x); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		form = 'e'
	}
	return strconv.AppendFloat(dst, x, form, -1, bits)
}

// appendTime appends RFC 3339 with nanoseconds, in UTC: a time that crosses a channel loses its zone, and its text must not
// depend on whether it did.
func appendTime(dst []byte, t time.Time) []byte { return t.UTC().AppendFormat(dst, time.RFC3339Nano) }

// tabbed returns a formatter that appends a value of type T: of a struct its exported fields, with tabs between them, of
// any other type the value itself.
//
// The value is copied to one place that the columns know, so that nothing is allocated for it.
func tabbed[T any]() (formatter[T], error) {
	place := new(T)
	columns, err := columnsOf(reflect.ValueOf(place).Elem(), "")
	if err != nil {
		return nil, fmt.Errorf("files: %v cannot be written as a line of text: %w: give the sink files.JSON or files.Format", reflect.TypeFor[T](), err)
	}
	return func(dst []byte, v T) ([]byte, error) {
		*place = v
		for i, column := range columns {
			if i > 0 {
				dst = append(dst, '\t')
			}
			var err error
			if dst, err = column(dst); err != nil {
				return dst, err
			}
		}
		return dst, nil
	}, nil
}

// A column appends one field of the value at its place.
type column func(dst []byte) ([]byte, error)

// columnsOf returns the columns of the value at a place; field is its path in the line's type, "" for the type itself.
func columnsOf(v reflect.Value, field string) ([]column, error) {
	if c := columnOf(v); c != nil {
		return []column{c}, nil
	}
	if v.Kind() != reflect.Struct {
		if field == "" {
			return nil, errors.New("it has no text form")
		}
		return nil, fmt.Errorf("field %s of type %v has no text form", field, v.Type())
	}
	var columns []column
	for f := range v.Type().Fields() {
		switch {
		case f.Anonymous && f.Type.Kind() == reflect.Struct:
			// Its exported fields are the outer struct's, even if the embedded type is not exported.
		case !f.IsExported():
			continue
		case f.Type.Kind() == reflect.Struct && columnOf(v.FieldByIndex(f.Index)) == nil:
			return nil, fmt.Errorf("field %s of type %v has no text form", join(field, f.Name), f.Type)
		}
		more, err := columnsOf(v.FieldByIndex(f.Index), join(field, f.Name))
		if err != nil {
			return nil, err
		}
		columns = append(columns, more...)
	}
	if len(columns) == 0 && field == "" {
		return nil, errors.New("it has no exported field")
	}
	return columns, nil
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// columnOf returns the column of a value that has a text form, or nil.
func columnOf(v reflect.Value) column {
	if v.CanInterface() {
		switch p := v.Addr().Interface().(type) {
		case *time.Time:
			return func(dst []byte) ([]byte, error) { return appendTime(dst, *p), nil }
		case *string:
			return func(dst []byte) ([]byte, error) { return append(dst, *p...), nil }
		case *[]byte:
			return func(dst []byte) ([]byte, error) { return append(dst, *p...), nil }
		case encoding.TextAppender:
			return p.AppendText
		case encoding.TextMarshaler:
			return func(dst []byte) ([]byte, error) {
				b, err := p.MarshalText()
				return append(dst, b...), err
			}
		}
	}
	switch v.Kind() {
	case reflect.String:
		return func(dst []byte) ([]byte, error) { return append(dst, v.String()...), nil }
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(dst []byte) ([]byte, error) { return strconv.AppendInt(dst, v.Int(), 10), nil }
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return func(dst []byte) ([]byte, error) { return strconv.AppendUint(dst, v.Uint(), 10), nil }
	case reflect.Float32, reflect.Float64:
		bits := v.Type().Bits()
		return func(dst []byte) ([]byte, error) { return appendFloat(dst, v.Float(), bits), nil }
	case reflect.Bool:
		return func(dst []byte) ([]byte, error) { return strconv.AppendBool(dst, v.Bool()), nil }
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return func(dst []byte) ([]byte, error) { return append(dst, v.Bytes()...), nil }
		}
	}
	return nil
}

// jsonOf returns a formatter that appends a value as encoding/json writes it.
func jsonOf[T any]() (formatter[T], error) {
	if err := jsonable(reflect.TypeFor[T]()); err != nil {
		return nil, fmt.Errorf("files: %v cannot be written as JSON: %w: give the sink files.Format", reflect.TypeFor[T](), err)
	}
	return func(dst []byte, v T) ([]byte, error) { return appendJSON(dst, v) }, nil
}

// jsonable returns why no value of a type can be written as JSON, with the name of the field if it is one of a struct.
func jsonable(t reflect.Type) error {
	_, err := json.Marshal(reflect.Zero(t).Interface())
	var unsupported *json.UnsupportedTypeError
	if !errors.As(err, &unsupported) {
		return nil // an error of the zero value only is not one of the type
	}
	if t.Kind() == reflect.Struct {
		for f := range t.Fields() {
			if f.IsExported() && jsonable(f.Type) != nil {
				return fmt.Errorf("field %s of type %v has no JSON form", f.Name, f.Type)
			}
		}
	}
	return fmt.Errorf("%v has no JSON form", unsupported.Type)
}
