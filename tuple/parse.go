package tuple

import "fmt"

// Parse reads one tuple from its msgpack bytes, such as those of a dead letter. Fields names its fields; nil takes a tuple
// of any width, and then no field has a name. The tuple shares the bytes and stays valid as long as they are not changed.
// An error, which names the place, reports bytes that are not exactly one tuple of these fields.
func Parse(f *Fields, encoded []byte) (Tuple, error) {
	c := new(Cursor)
	c.Reset(encoded, Origin{First: 1, Fields: f})
	item, err := c.Next()
	switch {
	case err != nil:
		return Tuple{}, fmt.Errorf("tuple: parse: %w", err)
	case item != Data || c.Offset() != len(encoded):
		return Tuple{}, fmt.Errorf("tuple: parse %d bytes: %w", len(encoded), ErrMalformed)
	}
	return c.Tuple(), nil
}
