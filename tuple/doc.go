// Package tuple reads and writes tuples, in the very bytes that travel.
//
// # The nouns
//
// A tuple is a msgpack array of its fields. [Fields] are the names of a stream's fields.
//
// A payload is the content of a frame: items one after another, each with a sequence number. An [Item] is a tuple, an
// end mark, a watermark or a root; marks begin with the one byte that msgpack never uses.
//
// A [Cursor] walks over a payload. At each tuple it gives a [Tuple]: a view, which decodes only the fields that are read.
//
// A [Row] builds a tuple, straight into its bytes, and emits it to a [Sink]. An [Emitter] is where a spout or a bolt
// gets its rows.
//
// Reading and writing allocate nothing per tuple, except where a method's comment notes it.
//
// # The caller's duties
//
// A bolt must not keep a Tuple, or bytes read from it, after Execute has returned: the next tuple and the next frame
// take their place. It copies what it keeps; String copies.
//
// The runner of a bolt asks Tuple.Err when Execute has returned: readers do not return errors one by one. The emitter of
// a row heeds the error of Emit, which also reports failures of the calls before it.
//
// # Caveats
//
// Payloads come over a network. A Cursor checks the whole structure of an item before it shows it, so that no bytes,
// however hostile, make a reader panic. None allocates more than a fixed multiple of the payload: some sixty times,
// for Any on an array of empty maps. No check is made that a string is UTF-8: a string value holds any bytes.
//
// The same values always make the same bytes, because replay and [Hash] depend on it; see Row.
package tuple
