// Package recovery is the contract between a task and its recovery strategy.
//
// A strategy is a Machine: a pure state machine that decides which frames a task delivers, sends, retains and asks for, and
// when it writes to its log. It has no goroutine, clock, disk, network or randomness. It receives Events and returns
// Actions; time enters as a count of milliseconds. So the machine that runs in production also runs in the simulator, where
// any schedule can be repeated.
//
// The nouns:
//
//   - A port is one end of a virtual channel, numbered among the inputs or among the outputs of its task.
//   - An event is something that happened to the task: a frame was received, a frame was sealed, a record is durable.
//   - An action is something that the task must do now, in the order given.
//
// # The caller's duties
//
// The caller is the task core (package task). It must
//
//  1. step the machine from one goroutine, and perform all actions of a step, in order, before the next step
//     (a delivery excepted: it is performed by the steps that follow it, up to Consumed);
//  2. begin with Started, and give Ticked whenever a millisecond has passed while it is busy, and at
//     Status.Wake when it is idle;
//  3. after a Deliver, Poll, RunTimer or Finish run the operator at once; report each frame that fills up (Sealed), each
//     determinant that the operator needs (DeterminantRequested), each end mark (EndOfInput), and last Consumed;
//  4. give Ready when it could run the operator, and Idle when it has no work left and has sealed the open frames;
//  5. answer an Append or Upload at most once, with Appended or Uploaded, and only when the data is as durable as the
//     topology asks;
//  6. on Freeze seal the open frames (reporting Sealed), freeze the operator's state as it is then, and report Frozen; on
//     Upload, which may come much later, call Capture, and upload the result together with the frozen state. A caller that
//     uploads at once may call Capture at once and leave Frozen out;
//  7. keep no reference to a sealed frame, which is the machine's until a Free returns it;
//  8. stop for good on Fail, and on Done keep stepping until the topology ends: a peer may still ask.
//
// Frames must have been decoded (so their bytes are undamaged) and belong to the port that they are reported on;
// the machine checks incarnation, sequence and history.
package recovery
