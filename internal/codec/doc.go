// Package codec carries Go values in tuples and keys.
//
// A [Codec] is derived once for a type, by reflection, and then writes its values into rows and makes a [Reader] for each
// stream that they are read from. A [Key] does the same for keys. None of them reflects upon a value, except upon maps
// and types with methods of their own, and none allocates for numbers, booleans, times, []byte, and structs and arrays of
// these.
//
//	c, err := codec.Of[Word]()         // when the topology is built; an error lists all that is wrong with Word
//	c.Append(row, &word); row.Emit()   // for each tuple
//
//	r, err := c.Bind(input.Fields())   // once for each input
//	err = r.Decode(t, &word)           // for each tuple
//
// # Types
//
// The exported fields of a struct are the fields of the tuple, in their order. A tag names one, `askback:"name"`, or
// leaves it out, `askback:"-"`; names are 1 to 64 of A-Z a-z 0-9 _ -. Any other type is the one field "value".
//
//	Go                                          in a tuple
//	bool, integers, floats, string              as Row.Bool, Int, Uint, Float and String write them
//	[]byte                                      as Row.Bytes writes it: a string
//	[n]byte                                     binary
//	time.Time                                   a timestamp, to the nanosecond; it is read as UTC
//	time.Duration                               an integer, nanoseconds
//	slices, arrays                              an array
//	maps                                        a map, in the order of the encoded keys
//	structs                                     a map by the names of the fields, in the order of the encoded names
//	pointers                                    nil, or what it points to
//	encoding.BinaryMarshaler and -Unmarshaler   binary
//	encoding.TextMarshaler and -Unmarshaler     a string
//
// and types that are defined as one of these. The fields of an embedded struct count as those of the struct around it;
// unlike in encoding/json, two fields of one name are an error, however deep they are. An embedded struct with a tag, or
// with a form of its own, is a field like any other; an embedded pointer is an error.
//
// The error of Of lists the parts of a type that cannot be carried: interfaces, channels, functions, unsafe pointers,
// complex numbers, types that contain themselves, fields that are not exported and would be lost, and types too wide,
// deep or large.
//
// # A type may gain fields
//
// A stream is read by the names of its fields, and a nested struct by those in the map. A field that is not there is
// read as its zero value, and one that the type does not have is ignored; so a type may gain, lose and reorder fields,
// and integers may change their width as long as the values fit. Renaming a field is losing one and gaining another:
// keep the old name in a tag.
//
// # The same value always gives the same bytes
//
// Replay and grouping depend on it. Maps are written in order. Every NaN is written alike, and is read as math.NaN. -0 and 0
// differ, as values; as keys they are the same, as in a Go map. A nil slice or map differs from an empty one, and is read as
// nil. For []byte they are the same, and read as nil.
//
// # Hostile bytes
//
// Tuples come over a network, and so do keys in snapshots. A value of another type is an error that names the field and the
// type found. No bytes make a reader panic. They make it allocate no more than a fixed multiple of their length: the size
// of the largest type that stands in a slice, in a map or behind a pointer, which is at most 64 KiB, for each byte.
package codec
