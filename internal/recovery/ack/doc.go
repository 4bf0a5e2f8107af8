// Package ack is the strategy in which a source waits: it sends the next tuple of a channel only when the target has
// acknowledged the one before, and sends again what was not acknowledged in time. It is what Chen, Hsu and
// Castellanos measure backtracking against. Each tuple counts at least once, and those of a channel in order.
//
//	source                                                      target
//	#1 … stable ├── acknowledged ──┤── in flight ──┤ emitted     #1 … consumed ├── ready ──┤ accepted
//	            └ retained until stable ───────────┘
//	                                └ at most Config.AckWindow tuples
//
// # A channel
//
// The source retains the frames that its operator emits, and publishes them while fewer than AckWindow tuples of the channel are
// unacknowledged; frames are cut to fit. The target takes what comes next and nothing else: what it has already it
// acknowledges again, what comes after a hole it drops. It acknowledges when its operator has consumed. A source that
// hears nothing for Config.RetryEvery sends all that is in flight once more, on the replay subject, then again with
// growing delay. Data and replay are not in order with each other, so they are never in flight at once.
//
// # What is stable
//
// An acknowledged tuple is in the target's memory; it is stable when a snapshot of the target holds it that is in the
// log. Until then the source retains it. At the soft bound it urges its targets to take a snapshot, at the hard bound
// it stops consuming. A task takes snapshots on an interval, sinks first: each holds the positions of its inputs, and
// of its outputs what is retained and not yet stable.
//
// # Restarts
//
// A restored target says where it stands, and its source goes on from there.
//
// A restored source consumes again what its snapshot does not cover. It kept no record of the order in which it had
// merged its inputs, so what it emits may differ from what the lost incarnation emitted under the same numbers:
// numbers are common to two incarnations only up to the snapshot with which the later began. So each position is told
// with the incarnation that it was counted under, and a target that stands beyond the common part steps back to its
// end. Some tuples then count again, perhaps at another target than before; none is lost.
//
//	a/1  #1 #2 #3 ‖ #4 #5 #6       ‖ is its snapshot; b consumes all six, and a/1 dies
//	a/2  who are you?               b:   I have #6 of a/1
//	a/2  we agree up to #3          b:   I have #3 of a/2
//	a/2           ‖ #4 #5 …         b consumes these too
//
// A target that has seen the end of all its inputs cannot step back. So an end mark is not published before the
// source's last snapshot is in the log: what ends has been settled.
//
// # Rules
//
//   - A1: at most AckWindow tuples of a channel are unacknowledged. (output.go, pump)
//   - A2: what is not acknowledged in time is sent again, from the first such tuple on. (output.go, tickOutput)
//   - A3: a target takes tuples in sequence only, and acknowledges what its operator consumed. (input.go, onFrame)
//   - A4: what is not stable is retained. (output.go, trim)
//   - A5: frames and signals of a lower incarnation are rejected. A task that learns of a higher incarnation of itself stops.
//   - A6: a target follows a new incarnation of its source from the common position. (output.go, common)
//   - A7: an end mark waits for the last snapshot. (output.go, limit)
//   - A8: whose log went back behind what it told is refused, target or source. (output.go, admitTarget)
//
// # What it does not do
//
// Choices are not recorded, so operators may be nondeterministic; Config.Pessimism means nothing here. Duplicates that
// a restart makes are not found: a tuple that comes again has another number. With a window of 1 a channel carries one
// tuple in each round trip, whatever the network can carry.
package ack
