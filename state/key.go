package state

import (
	"encoding/binary"
	"errors"
	"hash/maphash"
	"math/bits"
	"reflect"
	"unsafe"
)

// Key is what may key a map: text or an integer.
type Key interface {
	~string | ~int | ~int32 | ~int64 | ~uint32 | ~uint64
}

// A keyKind knows how the keys of one map are hashed, stored and read.
type keyKind struct {
	text   bool // else an integer
	signed bool
	wide   bool // 64 bits, else 32
	name   string
	seed   maphash.Seed
	a, b   uint64
}

func keyKindOf[K Key](seed maphash.Seed) keyKind {
	// The seed differs in every process, so that chosen keys cannot collide. It has no visible effect: entries are kept
	// in order of insertion.
	kind := keyKind{seed: seed, a: maphash.String(seed, "a"), b: maphash.String(seed, "b") | 1}
	switch t := reflect.TypeFor[K](); t.Kind() {
	case reflect.String:
		kind.text, kind.name = true, "string"
	case reflect.Int, reflect.Int32, reflect.Int64:
		kind.signed, kind.wide, kind.name = true, t.Size() == 8, "int"
	default:
		kind.wide, kind.name = t.Size() == 8, "uint"
	}
	return kind
}

// text and number look at a key as what it is: Go cannot convert a K that may be a string or a number. Each is
// only called for the kind of key that it fits.
func text[K Key](k *K) string { return *(*string)(unsafe.Pointer(k)) }

func number[K Key](k *K, kind *keyKind) uint64 {
	if kind.wide {
		return *(*uint64)(unsafe.Pointer(k))
	}
	if kind.signed {
		return uint64(*(*int32)(unsafe.Pointer(k)))
	}
	return uint64(*(*uint32)(unsafe.Pointer(k)))
}

// view is the key made of these bytes, which it shares.
func view[K Key](b []byte) (k K) {
	*(*string)(unsafe.Pointer(&k)) = unsafe.String(unsafe.SliceData(b), len(b))
	return k
}

func hashNumber(kind *keyKind, n uint64) uint64 {
	hi, lo := bits.Mul64(n^kind.a, kind.b)
	return hi ^ lo
}

func probeKey[K Key](kind *keyKind, k *K) probe {
	if kind.text {
		s := text(k)
		return probeBytes(kind, unsafe.Slice(unsafe.StringData(s), len(s)))
	}
	n := number(k, kind)
	return probe{hash: hashNumber(kind, n), head: n}
}

func probeBytes(kind *keyKind, b []byte) probe {
	return probe{hash: maphash.Bytes(kind.seed, b), head: headOf(b)}
}

// headOf returns the first 8 bytes, or all of fewer: with the length, these are then the whole key.
func headOf(b []byte) uint64 {
	switch n := len(b); {
	case n >= 8:
		return binary.LittleEndian.Uint64(b)
	case n >= 4:
		return uint64(binary.LittleEndian.Uint32(b)) | uint64(binary.LittleEndian.Uint32(b[n-4:]))<<(8*(n-4))
	case n > 0: // first, middle and last: all there are
		return uint64(b[0]) | uint64(b[n/2])<<(8*(n/2)) | uint64(b[n-1])<<(8*(n-1))
	}
	return 0
}

// sameTail reports whether two keys with the same head are the same. Most keys are short, and then it looks at
// nothing but their lengths.
func sameTail[K Key](kind *keyKind, a, b *K) bool {
	if !kind.text {
		return true
	}
	s, t := text(a), text(b)
	return len(s) == len(t) && (len(s) <= 8 || s == t)
}

func appendKey[K Key](dst []byte, kind *keyKind, k *K) []byte {
	switch {
	case kind.text:
		s := text(k)
		return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
	case kind.signed:
		return binary.AppendVarint(dst, int64(number(k, kind)))
	}
	return binary.AppendUvarint(dst, number(k, kind))
}

var errKey = errors.New("bad key")

// readKey reads a key, which may share src, and returns what follows it.
func readKey[K Key](src []byte, kind *keyKind) (k K, rest []byte, err error) {
	if kind.text {
		b, rest, ok := readBytes(src)
		if !ok {
			return k, nil, errKey
		}
		return view[K](b), rest, nil
	}
	var n uint64
	var width int
	if kind.signed {
		var i int64
		i, width = binary.Varint(src)
		n = uint64(i)
	} else {
		n, width = binary.Uvarint(src)
	}
	if width <= 0 {
		return k, nil, errKey
	}
	if kind.wide {
		*(*uint64)(unsafe.Pointer(&k)) = n
	} else {
		*(*uint32)(unsafe.Pointer(&k)) = uint32(n)
	}
	if number(&k, kind) != n {
		return k, nil, errKey
	}
	return k, src[width:], nil
}

// An arena holds the bytes of text keys, many to a chunk, so that a new key is not an allocation. Its keys
// are never changed, so the keys that All yields need no copy; a chunk goes when nothing refers to it.
type arena struct{ chunk []byte }

const arenaChunk = 32 << 10

func (a *arena) own(s string) string {
	if len(s) == 0 {
		return ""
	}
	if len(s) > arenaChunk/4 {
		return string([]byte(s))
	}
	if len(s) > cap(a.chunk)-len(a.chunk) {
		a.chunk = make([]byte, 0, min(arenaChunk, max(2*cap(a.chunk), 512, len(s))))
	}
	n := len(a.chunk)
	a.chunk = append(a.chunk, s...)
	return unsafe.String(&a.chunk[n], len(s))
}
