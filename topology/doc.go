// Package topology describes a topology: its operators, the streams that they emit, and which bolt reads which stream by
// which grouping. A program declares this with a Builder; Build checks it and compiles it to a Plan, from which tasks are
// run.
//
// The nouns:
//
//   - An operator is a spout, which reads from outside, or a bolt, which reads streams. It runs as Parallel tasks.
//   - A stream is a kind of tuple that an operator emits, with named fields. Most operators have only the default
//     stream, which has no name of its own.
//   - An edge is one bolt's subscription to one stream. Its grouping decides which tuples go to which of its tasks.
//   - A task is one instance of an operator, a channel the tuples that one task sends to another along one edge.
//   - A router is the grouping of one edge at one source task, with its state.
//
// # Declaring
//
//	b := topology.New("wordcount")
//	b.Spout("lines", lines).Fields("line")
//	b.Bolt("split", newSplit).Parallel(2).Shuffle("lines").Fields("word")
//	b.Bolt("count", newCount).Parallel(2).GroupBy("split", "word").Fields("word", "n")
//	b.Bolt("top", newTop).Global("count")
//	plan, err := b.Build()
//
// The groupings:
//
//	Shuffle         one task after another
//	LocalOrShuffle  one task after another of those in the same worker, or of all if none is
//	GroupBy         equal keys to the same task
//	PartialKey      each key to one of its two tasks, whichever has been sent less
//	All             every task
//	Global          the first task
//	Direct          the task that the emitter names
//	Custom          the task that a function picks
//
// Operators may be declared in any order, a bolt before the streams it reads; the graph must have no cycle. Build makes one
// bolt of each operator and closes it, to check that it implements the interfaces that its declaration needs, such as
// bolt.Ticker.
//
// # The version
//
// A plan numbers its tasks and channels in the order of declaration, and messages carry these numbers together with the
// plan's version. So every process of a running topology must declare it in the same way: build it from constants and
// arguments, not by ranging over a map. The version covers all that gives messages, logs or snapshots their meaning: names,
// order, parallelism, streams and fields, groupings and keys, ticks, pessimism. Retry and the tasks' needs (CPU, Memory)
// are not, and may be tuned. A custom grouping is in it by name only: a function with other picks needs a new one.
//
// # Routing
//
// Routers are for the runtime. Replay must repeat their picks, so their state is checkpointed (AppendState, SetState),
// and the changes of a failed Execute in it are taken back (Mark, Rollback). Local targets cannot follow from that
// state; so a router asks for them at points that do (Asks, Prefer), and the runtime records the answer.
package topology
