// Package spout holds the contract of a spout, the source of a topology's tuples, and ready-made ones.
//
// The nouns:
//
//   - A Spout is one task's input. It emits tuples and knows its position.
//   - A Source makes the spout of each task. Topologies are built from sources.
//   - A position is a place in the input. It is stored in the task's snapshots; a restored task seeks to it and emits the
//     same tuples again.
//
// Ready-made sources:
//
//	Slice("a", "b"), Rows(rows)    what is in memory
//	Generate(1000, f).Rate(100)    what a function computes
//
// Sources of files and streams are in the packages below connect. A source's rows run through bolts without a channel between
// by Through:
//
//	b.Spout("words", spout.Through(lines).Fields("line").Then("split", newSplit)).Fields("word")
//
// A complete one of your own:
//
//	// Powers emits the powers of two.
//	type Powers struct{ n uint64 }
//
//	func (p *Powers) Next(_ context.Context, out spout.Emitter) error {
//		if p.n == 64 {
//			return io.EOF
//		}
//		if err := out.Row().Uint(1 << p.n).Emit(); err != nil {
//			return err
//		}
//		p.n++
//		return nil
//	}
//
//	func (p *Powers) Position(dst []byte) []byte { return binary.AppendUvarint(dst, p.n) }
//
//	func (p *Powers) Seek(position []byte) error {
//		p.n, _ = binary.Uvarint(position)
//		return nil
//	}
//
//	b.Spout("powers", spout.Func(func() spout.Spout { return &Powers{} })).Fields("power")
//
// The duties of a spout's caller, in this order, from one goroutine:
//
//  1. Open, if it is an Opener, first.
//  2. Seek, in a restored task, to the position of its snapshot.
//  3. Next, again and again. Position between two calls.
//  4. Close, if it is an io.Closer, whatever happened: it may be that Open failed.
//
// Caveats: input that cannot be read again from a position (a socket, a push) is no spout; write it to a journal first and
// read that. The number of tasks decides which task reads which part, so a position is valid only for the parallelism that
// it was made with.
package spout
