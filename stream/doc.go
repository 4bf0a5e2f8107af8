// Package stream is the typed way to write a topology, and the way in for most programs. Package topology, with its spouts,
// bolts and rows, is the layer underneath.
//
// The nouns:
//
//   - A Topology collects steps. askback.Run, and package cli, run it.
//   - A Stream is the output of a step: values of one type on their way to the steps that read it.
//   - A Source reads replayable input, a Sink has an effect outside. Packages below connect hold some.
//   - A Keyed is a stream by key: the values with equal keys come to the same task.
//   - Fusion makes consecutive steps one operator: calls of functions, without encoding between them.
//
// A complete program, but for its error handling:
//
//	t := stream.New("wordcount")
//	lines := stream.From(t, "lines", files.Lines("**/*.go"))
//	words := stream.FlatMap(lines, "split", func(l files.Line, out func([]byte)) {
//		for w := range bytes.FieldsSeq(l.Text) {
//			out(w)
//		}
//	})
//	counts := stream.KeyBy(words, func(w []byte) []byte { return w }).Count("count").Parallel(2)
//	stream.To(counts.Global(), "out", files.Sink[stream.Entry[[]byte, int64]]("words.txt", files.Single()))
//	report, err := askback.Run(ctx, t)
//
// # Steps
//
//	From                              reads a source
//	Map, Filter, FlatMap              compute
//	Update                            changes a value in place: for structs of more than four words
//	TryMap, TryFlatMap                compute, and may fail or wait
//	KeyBy … Count, Reduce, Aggregate  fold the values of each key; Every puts results out meanwhile
//	Process                           state, several inputs (On, OnKeyed), ticks (OnTick), the end (OnEnd), side outputs (Tag)
//	Merge                             several streams of one type as one
//	To                                ends in a sink
//
// Parallel, Isolate, Retry and Drop are methods of the stream that a step returns; Rebalance, Broadcast and Global choose
// how the readers of a stream share its values.
//
// # Fusion
//
// A step is fused with the one that it reads if both have as many tasks and values are not regrouped between them. The
// printed plan (--plan) names the fused steps. Isolate keeps a step apart. A step with Retry, Drop or DeadLetters begins an
// operator of its own, so that repeating a failed call repeats no other step. A sink is fused with steps that keep state
// only if its effects are committed with the snapshot (bolt.Committer), and with none if it identifies values by message
// ids (Identifier).
//
// # Values
//
// Between operators a value travels as a tuple: the exported fields of a struct by name, or one field "value". Types that
// cannot be encoded are reported when the topology is built, with the path to the field and the remedy. A []byte in a value is
// a view, valid during the call; a string may be kept.
//
// # Failures
//
// An error of a step fails the topology with a *bolt.TupleError, which names step, task and value. The value is not
// acknowledged and not lost: the repaired program continues from the log at that very value. Drop and DeadLetters declare
// otherwise, for one step, and are counted. An error made by bolt.Outage is the outside's: the task is restarted until it
// is over.
//
// # The user's duties
//
// Functions are deterministic, since a restored task repeats them: time and chance come from a Process's Context. They do
// not change variables that they close over, since several tasks call them at once. A Process keeps its state in a State,
// not in its fields.
package stream
