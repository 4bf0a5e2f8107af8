// Package ack is the strategy in which a source waits: it sends the next tuple of a channel only when the target has
// acknowledged the one before, and sends tuples again that were not acknowledged in time. Chen, Hsu and Castellanos compare
// backtracking with it. Each tuple counts at least once, and those of a channel in order.
//
//	source                                                      target
//	#1 … stable ├── acknowledged ──┤── in flight ──┤ emitted     #1 … consumed ├── ready ──┤ accepted
//	            └ retained until stable ───────────┘
//	                                └ at most Config.AckWindow tuples
//
// # A channel
//
// The source retains the frames that its operator emits, and publishes them while fewer than AckWindow tuples of the
// channel are unacknowledged; frames are cut to fit. The target accepts only the next tuple: it acknowledges duplicates
// again, and drops tuples behind a hole. It acknowledges when its operator has consumed. A source that receives no
// acknowledgement for Config.RetryEvery sends all tuples in flight once more, on the replay subject, then again with
// growing delay. Data and replay are not in order with each other, so they are never in flight at once.
//
// # Stability
//
// An acknowledged tuple is in the target's memory; it is stable when a snapshot of the target holds it that is in the log.
// Until then the source retains it. At the soft bound it urges its targets to take a snapshot, at the hard bound it stops
// consuming. A task takes snapshots on an interval, sinks first: each holds the positions of the task's inputs, and the
// retained frames of its outputs.
//
// # Restarts
//
// A restored target reports its position, and its source continues from there.
//
// A restored source consumes the tuples again that its snapshot does not cover. It kept no record of the order in which it
// had merged its inputs, so it may emit other tuples under the numbers that the lost incarnation used: numbers are common
// to two incarnations only up to the snapshot with which the later began. So each position is reported with the incarnation
// that it was counted under, and a target whose position is beyond the common part steps back to its end. Some tuples then
// count again, perhaps at another target than before; none is lost.
//
//	a/1  #1 #2 #3 ‖ #4 #5 #6       ‖ is its snapshot; b consumes all six, and a/1 dies
//	a/2  who are you?               b:   I have #6 of a/1
//	a/2  we agree up to #3          b:   I have #3 of a/2
//	a/2           ‖ #4 #5 …         b consumes these too
//
// A target that has seen the end of all its inputs cannot step back. So an end mark is not published before the source's
// last snapshot is in the log.
//
// # Rules
//
//   - A1: at most AckWindow tuples of a channel are unacknowledged. (output.go, pump)
//   - A2: tuples that are not acknowledged in time are sent again, from the first one on. (output.go, tickOutput)
//   - A3: a target takes tuples in sequence only, and acknowledges those that its operator has consumed. (input.go,
//     onFrame)
//   - A4: a frame is retained until it is stable. (output.go, trim)
//   - A5: frames and signals of a lower incarnation are rejected. A task that learns of a higher incarnation of itself stops.
//   - A6: a target follows a new incarnation of its source from the common position. (output.go, common)
//   - A7: an end mark waits for the last snapshot. (output.go, limit)
//   - A8: a task whose log is older than its reported positions is refused, target or source. (output.go, admitTarget)
//
// # Limits
//
// Determinants are not recorded, so operators may be nondeterministic; Config.Pessimism has no effect. Duplicates that a
// restart makes are not detected: a tuple that comes again has another number. With a window of 1 a channel carries one
// tuple in each round trip, whatever the network can carry.
package ack
