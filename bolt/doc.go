// Package bolt holds the contract of a bolt, the operator that consumes tuples, and ready-made ones.
//
// The nouns:
//
//   - A Bolt is the code of one task. It consumes tuples and may emit others.
//   - A factory, func() Bolt, makes the bolt of each task. Topologies are built from factories.
//   - A sink is a bolt without output, but with an effect outside.
//   - A snapshot holds a bolt's state. A restored task gets it back and consumes the later tuples again.
//
// A complete bolt:
//
//	// Longest keeps the longest word and emits it when the input has ended.
//	type Longest struct{ word []byte }
//
//	func (l *Longest) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
//		if w := t.Bytes(0); len(w) > len(l.word) {
//			l.word = append(l.word[:0], w...) // a copy: t is valid only during the call
//		}
//		return nil
//	}
//
//	func (l *Longest) Finish(_ context.Context, out bolt.Emitter) error { return out.Row().Bytes(l.word).Emit() }
//	func (l *Longest) Snapshot() ([]byte, error)     { return bytes.Clone(l.word), nil }
//	func (l *Longest) Restore(data []byte) error     { l.word = bytes.Clone(data); return nil }
//
//	b.Bolt("longest", func() bolt.Bolt { return &Longest{} }).Global("words").Fields("word")
//
// Several bolts are composed to one by Chain, without a channel between them:
//
//	b.Bolt("words", bolt.Chain("split", newSplit).Fields("word").Then("count", newCount).New).Shuffle("lines").Fields("word", "n")
//
// Ready-made: Func (a function as a bolt) and Collector (gathers tuples in memory, for tests). Sinks for files, streams and
// tables are in the packages below connect. Package bolttest tests a bolt by itself.
//
// The duties of a bolt's caller, in this order, from one goroutine:
//
//  1. Prepare, if it is a Preparer, first.
//  2. Restore, in a restored task that has a snapshot, and then Commit if it is a Committer.
//  3. Execute and Tick as tuples and time come; Finish once, when all inputs have ended.
//  4. Snapshot between two of those calls; Commit when that snapshot is durable, before the next Snapshot.
//  5. Close, if it is an io.Closer, when the task ends or is killed, whatever happened: it may be that Prepare failed.
//
// Caveats: see the duties of a bolt at Bolt, above all determinism. An effect outside that is neither repeatable
// nor a Committer's happens at least once.
package bolt
