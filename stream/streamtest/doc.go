// Package streamtest is a test kit: it runs a topology in a test, on the test's goroutine, in milliseconds. It is for tests
// only; no program needs it.
//
//	func TestCount(t *testing.T) {
//		h := streamtest.New(t)
//		lines := streamtest.In[Line](h, "lines")
//		words := stream.FlatMap(lines.Stream(), "split", split)
//		counts := stream.KeyBy(words, func(w Word) string { return w.Text }).Count("count")
//		out := streamtest.Out(h, "out", counts)
//
//		lines.Send(Line{"to be or"}, Line{"not to be"})
//		h.Settle()
//		h.Kill("count")
//		h.Finish()
//		… out.Values() is as without the kill …
//	}
//
// The nouns:
//
//   - A Harness runs one topology: New begins one for steps to be declared in, Of takes one that is declared.
//   - An Input is a source of the values that the test sends. An Output is a sink that keeps the values that reach it.
//   - A step of a run is the smallest thing that happens: a task receives a message, takes one turn (a frame of tuples, a
//     poll of its source, a tick), or writes a record of its log. A task can be killed between any two of them.
//
// The tasks are those of production: their machines, cores, frames, logs and snapshots. Only the network and the log are in
// memory, and there is no goroutine, no clock and no chance: the same test takes the same steps each time.
//
// # Time
//
// The clock of operators (ticks, and Now of a context) moves only by Advance. Pauses that operators do not see pass by
// themselves: those of retries, of polls, and of the recovery protocol.
//
// # Errors
//
// An error that would fail the topology, such as one of a step without an error policy, fails the test in Settle, Advance
// or Finish. TrySettle, TryAdvance and TryFinish return it instead. Restart then continues from the log, at the very tuple
// that failed. An error for which production would restart the task first (of a source, of a tick, a panic) ends the run
// here at once. After a bolt.Outage the task is down until Advance has moved the clock by a pause, which doubles from 10 ms
// to 5 s.
//
// # A kill at every step
//
// KillEverywhere runs a test once without a kill, and then once for each task and each step with a kill there. A topology
// whose operators keep the contract passes it: its output does not depend on the kills.
//
// # Caveats
//
// A run measures no speed: frames are small and snapshots frequent, to make a short run eventful. A source or a step that
// waits for a time of the machine (time.Sleep, a Generator with a Rate) makes the test wait. The input that a test sends is
// kept to its end.
package streamtest
