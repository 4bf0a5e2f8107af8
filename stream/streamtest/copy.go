package streamtest

import (
	"reflect"
	"sync"
)

// copyOf returns a deep copy of v, through exported fields, elements, keys and pointers.
func copyOf[T any](v T) T {
	if !refers(reflect.TypeFor[T]()) {
		return v
	}
	c := reflect.New(reflect.TypeFor[T]()).Elem()
	copyTo(c, reflect.ValueOf(&v).Elem())
	return c.Interface().(T)
}

// copyTo sets dst, which is the zero value, to a copy of src.
func copyTo(dst, src reflect.Value) {
	dst.Set(src)
	if !refers(src.Type()) {
		return
	}
	switch src.Kind() {
	case reflect.Slice:
		if src.IsNil() {
			return
		}
		dst.Set(reflect.MakeSlice(src.Type(), src.Len(), src.Len()))
		for i := range src.Len() {
			copyTo(dst.Index(i), src.Index(i))
		}
	case reflect.Array:
		for i := range src.Len() {
			copyTo(dst.Index(i), src.Index(i))
		}
	case reflect.Map:
		if src.IsNil() {
			return
		}
		dst.Set(reflect.MakeMapWithSize(src.Type(), src.Len()))
		for it := src.MapRange(); it.Next(); {
			k, v := reflect.New(src.Type().Key()).Elem(), reflect.New(src.Type().Elem()).Elem()
			copyTo(k, it.Key())
			copyTo(v, it.Value())
			dst.SetMapIndex(k, v)
		}
	case reflect.Pointer:
		if src.IsNil() {
			return
		}
		dst.Set(reflect.New(src.Type().Elem()))
		copyTo(dst.Elem(), src.Elem())
	case reflect.Interface:
		if src.IsNil() {
			return
		}
		v := reflect.New(src.Elem().Type()).Elem()
		copyTo(v, src.Elem())
		dst.Set(v)
	case reflect.Struct:
		for i := range src.NumField() {
			if src.Type().Field(i).IsExported() {
				copyTo(dst.Field(i), src.Field(i))
			}
		}
	}
}

// scramble overwrites every []byte that exported fields, elements and pointers of v lead to.
func scramble(v reflect.Value) {
	if !refers(v.Type()) {
		return
	}
	switch v.Kind() {
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			for i := range v.Len() {
				v.Index(i).SetUint(0xdb)
			}
			return
		}
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			scramble(v.Index(i))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			scramble(it.Value())
		}
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			scramble(v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				scramble(v.Field(i))
			}
		}
	}
}

// refers reports whether values of a type may refer to data that a copy would share.
func refers(t reflect.Type) bool {
	if known, ok := referring.Load(t); ok {
		return known.(bool)
	}
	referring.Store(t, true) // for a type that contains itself: only by reference it can
	is := false
	switch t.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Interface:
		is = true
	case reflect.Array:
		is = refers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			is = is || t.Field(i).IsExported() && refers(t.Field(i).Type)
		}
	}
	referring.Store(t, is)
	return is
}

var referring sync.Map // by reflect.Type: bool
