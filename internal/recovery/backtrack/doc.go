// Package backtrack is the recovery strategy that Askback is named after. Tuples flow without waiting for
// acknowledgements; a task that was restored after a failure asks its sources for exactly the tuples that it missed.
//
// The idea is that of Chen, Hsu and Castellanos, "Fault Tolerant Distributed Stream Processing based on Backtracking"
// (IJNDC 2013), made safe for several inputs merged in any order, several tasks failing at once, paused tasks that resume,
// messages lost without a crash, and sinks. Each tuple takes effect once.
//
// The package is one state machine per task (Machine). It decides; package task acts. It has no goroutine, clock,
// disk, network or randomness, so the stories in testdata show each failure step by step: read those beside this
// page. New is a recovery.Factory.
//
// # The nouns
//
//   - A channel carries the tuples of one source task to one target task, in frames, numbered 1, 2, 3 …
//   - An input is the target's end of a channel, an output the source's. They are the two halves of the protocol.
//   - An incarnation is the count of a task's starts. Messages of a lower one no longer count.
//   - A determinant is an outcome that a replay could not repeat: which input had its turn for how many tuples, a timer,
//     the time, a random number, a tuple given up and why, which targets are local. The word is that of Elnozahy,
//     Alvisi, Wang and Johnson, "A Survey of Rollback-Recovery Protocols" (2002).
//   - The determinant log of a task holds them in their order, numbered.
//   - A snapshot is the task at one moment; the task log holds snapshots and the determinants since.
//   - A frame's gate is the last determinant that led to it. The frame is released when its gate is durable.
//   - A mark is the source's high-water mark: "released up to here". It travels in order with the data.
//   - An ACK reports the target's positions: stable (in a durable snapshot), received, consumed. No source waits for one
//     before it emits.
//   - An ASK names the tuples that the target is missing. The answer comes on the replay subject, beside the live traffic.
//   - A task is in replay debt while it has not yet regenerated tuples that its targets, or theirs, have consumed before.
//
// # How a tuple travels
//
//	source                                                  target
//	#1 … stable ├── released ──┤── gated ──┤ emitted        #1 … consumed ├── ready ──┤ accepted … ahead
//	            └ retained until stable ───┘
//
// The source's operator emits it into the open frame. The sealed frame is retained, and published as soon as its gate is
// durable and the target's credit reaches. The target checks the frame's incarnation, its number and its checksum, queues
// it behind those before it, and lets its operator consume it. It records that this input had its turn; frames that the
// operator emits then have that turn for their gate. Some time later a snapshot covers the tuple, the ACK reports that it
// is stable, and the source frees it. In normal operation an output costs only the check of the gate, and one small append
// now and then for all frames that wait.
//
// # How a lost tuple is asked back
//
//	a publishes   #1-9   #10-19   #20-25   MARK #25
//	                       ✗                           lost
//	b receives    #1-9             #20-25  MARK #25
//	b asks                         ASK #10-19
//	a resends                              #10-19      b consumes #10-19 #20-25
//
// Data and marks come in order. So each message that arrives proves which ones were lost before it: a frame above a hole,
// or a mark above all frames. The hole is asked for once, whole, and again with growing delay until it is filled.
//
// # How a crash is survived
//
// A restored target loads its newest snapshot, greets each source with its position, and receives in answer how far the
// source has released. It missed the tuples that lie between; it asks for them, and consumes them in the turns that its log
// holds, until the log is exhausted. So it emits the tuples that the lost incarnation emitted, under the same ids.
//
// A restored source greets its targets, and publishes no frame before a target has reported its position. Frames that it
// regenerates up to there are retained and not sent; those above go out in order. So each frame arrives once in the normal
// case, and after any case a duplicate is identical, hence harmless.
//
// If both fail the source regenerates for its target from its own log and its own sources, back to the spouts, whose input
// can be read again. All other tasks continue.
//
// # The rules
//
// Target (input.go):
//
//   - T1: a tuple that was received before is a duplicate: dropped and counted; a frame that straddles is trimmed.
//   - T2: the next frame is delivered. A frame above a hole waits, within bounds, and the hole is asked for.
//   - T3: a mark above all that has arrived shows a hole too; without marks the last tuple before a pause could be
//     lost unseen.
//   - T4: frames and signals of a lower incarnation than one already seen are rejected and counted. (Of targets:
//     output.go.) A task that receives an answer to a higher incarnation of itself was superseded, and stops.
//   - T5: a frame must continue the channel's running checksum, else its source's history is not the one that was consumed:
//     the operator is not deterministic, and the task fails before consuming any tuple of it. The target also reports the
//     checksum at its position, and a restored source compares it with the one that it regenerates, since no frame may
//     follow.
//
// Source (output.go):
//
//   - S1: a frame is retained until it is stable. At the soft bound the source urges its targets to take a
//     snapshot, at the hard bound it stops consuming. It never drops.
//   - S2: an ASK is answered with exactly the released part of the tuples that it names, paced by the channel's credit.
//     Those that are not regenerated yet follow when they are.
//   - S3: a channel with frames that are released and not stable repeats its mark, with growing delay.
//   - S4: the part of an ASK that an ACK has overtaken is ignored. A newer incarnation of a target, restored at a position
//     before one that an older one reported as stable, has a log that went back in time: it is refused, and fails with an
//     error that names both positions. So is a target that answers a new incarnation of the source from a position before
//     the one that was stable when that incarnation began.
//
// Determinants (determinants.go):
//
//   - D1: turns and all other determinants are recorded, run-length encoded.
//   - D2: a frame is released when the determinants that led to it are durable. One append is in flight at a time;
//     consumption never waits for it. Determinants that no frame waits for are not appended.
//   - D3: a task with one input that requests no determinant records none, so no frame waits.
//   - D4: an append whose answer was lost is settled by reading the log. (Package checkpoint, Writer.)
//
// Snapshots (snapshot.go):
//
//   - C1: a snapshot holds positions and checksums of all channels, the operator's state, and the retained frames. It
//     covers all consumed tuples. None is taken while the operator runs, or while recorded determinants are repeated.
//   - C2: when it is durable, and not before, the inputs' positions are ACKed as stable.
//   - C3: snapshots run as a wave against the stream: sinks begin, a task follows its targets. So nearly all that a
//     task has emitted is stable by then, and its snapshot stays small.
//   - C4: a snapshot may be an increment to the one before. (Of keyed state: package state.)
//
// Restore (restore.go):
//
//   - R1: an incarnation begins with a record of its own in the log, and so fences all before it. (Package
//     checkpoint, Open.)
//   - R2: it starts from the newest snapshot and the determinants after it. (Package checkpoint finds these.)
//   - R3: it greets the source of each input with its position, and asks for the tuples that it missed. (input.go)
//   - R4: it consumes in the recorded turns until those are exhausted; regenerated frames that a target has are not
//     sent. (determinants.go, output.go)
//   - R5: no other task stops, rolls back or restarts.
//
// # Why it is right
//
// All that other tasks have seen of a task follows from durable determinants (D2), so a restored task repeats it (R4), and
// duplicates are identical (T1). Every frame that a target may ask for is retained, since only its own durable snapshot
// lets a source trim (S1, C2). A hole cannot hide, since each message that arrives proves which ones were lost before it
// (T2, T3). And where a premise fails, because an operator is secretly nondeterministic (T5) or a log went back (S4), a
// task stops with the reason; no output is invented.
//
// # Flow control
//
// A source sends no more than a window beyond its target's consumed position, and takes no input while it may not send, or
// retains too much. A graph has no cycle, so no task waits for itself; but a replay takes its inputs in a fixed order, and
// could wait for one branch while another keeps their common source waiting. So a target that repeats recorded turns grants
// credit up to their end; and a task in replay debt regenerates beyond its bounds, and reports the debt to its sources
// (output.go, inDebt). Its output beyond the bounds is bounded by its output before the failure.
//
// # Pessimistic tasks
//
// An operator that is nondeterministic by nature is declared so. Its determinants are not recorded, since they would not
// help: its outputs and its state are in the log, as a snapshot, before they are released, frame by frame or tuple by tuple
// (recovery.Pessimism). Restoring it executes no tuple again. Each frame waits for an append, and each append holds the
// state's changes.
//
// # The caller's duties
//
// Those of package recovery, in particular: one goroutine; all actions in order before the next step; Appended and
// Uploaded only when the data is durable; and after a Freeze the operator's state of that same moment.
//
// Beyond these: marks and greetings, which are InBand, must take the way of the data. A transport that let one overtake a
// frame would only cost a needless ASK.
//
// # Other packages
//
// The log itself, fencing and purging (package checkpoint); encoding and decoding of messages (package channel); spouts
// whose input can be read again (package spout), and sinks whose effects happen once (package bolt); restarts, and the
// decision that a task is dead (package task and the cluster). Correctness does not depend on detecting failures: a task
// that was wrongly believed dead is fenced.
package backtrack
