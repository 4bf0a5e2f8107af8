// Package state keeps the state of a task by key, and snapshots it without stopping the task.
//
// The nouns:
//
//   - A Store is the keyed state of one task. The task makes it, snapshots it and restores it; a bolt or spout
//     finds it in its context.
//   - A Map is one part of it, under a name of its own, with keys and values of Go types.
//   - A snapshot is the state at one moment, as bytes: full, or an increment that holds what has changed since
//     the snapshot before. A full snapshot and the increments that follow it are a chain.
//
// A bolt opens its maps in Prepare and keeps them:
//
//	type Count struct{ n *state.Map[string, int64] }
//
//	func (c *Count) Prepare(ctx bolt.Context) (err error) {
//		c.n, err = state.Open[string, int64](ctx, "counts")
//		return err
//	}
//
//	func (c *Count) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
//		*c.n.At(t.Bytes(0))++ // found by bytes, without allocating
//		return nil
//	}
//
// It needs to do nothing else: the state survives the task. A restored task opens all maps that its snapshot holds, in Prepare,
// or it fails: no state is dropped because a map was renamed.
//
// # Order
//
// Entries are kept, and yielded by All, in the order in which they were inserted; a key that is deleted and
// inserted again goes to the end. A restore keeps that order too, so a bolt may emit as it ranges over a map:
// a replay emits the same.
//
// # What the owner of a map must heed
//
//   - A pointer that At or Entry returned is valid until the next call on the map, and not after the bolt's method
//     has returned.
//   - Values that hold pointers, slices or maps are changed through At or Entry only. A change
//     made in another way is neither marked as changed nor protected from change while a snapshot is being encoded.
//   - A value is stored whole when it changes. Many small entries are better than few large ones.
//   - A value is stored with the names of its fields, so its type may gain fields, and have them in another order: an
//     old value has zero in a field that was not there. The width of integers may change, but int, uint and
//     uint8 do not become each other. A stored field that the type lacks, or has as another kind, is an error (ErrKind)
//     that names it: keep the field, or give the map a new name. A type with MarshalBinary looks after its versions itself.
//
// # What the owner of a store must do
//
// Between tuples, on the task's goroutine:
//
//	s.Begin(s.WantFull())  // freezes the state: no more than a look at each 4096 entries
//	for {                  // spread over time, between tuples
//		done, err := s.Step(1000)
//		…
//	}
//	data := s.Take()       // store it
//
// A change to an entry that is frozen and not yet encoded encodes the old value first, so the snapshot is that of the moment
// of Begin. Begin also means that the snapshot taken before is stored. If it is not, call Abort first. To
// restore, Apply the last full snapshot and its increments, in order, before or after the maps are opened, and
// before anything is changed.
//
// # Caveats
//
// Memory for deleted entries is given back page by page (4096 entries), when little is left of a page and its
// neighbour; the index, some 15 bytes a key, stays as large as it has been until a restore.
package state
