package sim

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/memchan"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/topology"
)

// An instance is one incarnation of a task. It is its core's Env: writes to the log wait until the schedule performs them,
// a record at a time, and so does each answer.
type instance struct {
	w        *World
	task     *topology.Task
	inc      msgid.Incarnation
	core     *task.Core
	endpoint *memchan.Endpoint
	began    uint64 // ms of the world's time

	writer  *task.LogWriter // nil without a log
	answers []task.Answer
	writing bool // a record is being written, and waits for the log

	dead   bool
	zombie bool // another incarnation has begun, or will
	paused bool
	slow   uint64 // until that time it hardly gets its turn
}

// Send implements task.Env.
func (in *instance) Send(kind channel.Kind, to msgid.Alias, payload []byte) {
	in.w.log(line{what: "send " + kind.String(), who: in.task.Alias, inc: in.inc, to: to, payload: append([]byte(nil), payload...)})
	if err := in.endpoint.Send(kind, to, payload); err != nil && !errors.Is(err, channel.ErrClosed) {
		in.w.violate("I2", "%v cannot send: %v", in.task.Alias, err)
	}
}

// Append implements task.Env.
func (in *instance) Append(era int, record []byte) {
	in.w.log(line{what: "append", who: in.task.Alias, inc: in.inc, a: uint64(len(record))})
	in.writer.Append(era, record)
}

// Store implements task.Env.
func (in *instance) Store(era int, parts [][]byte, full bool) {
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	note := "increment"
	if full {
		note = "full"
	}
	in.w.log(line{what: "store", who: in.task.Alias, inc: in.inc, a: uint64(size), note: note})
	in.writer.Store(era, parts, full)
}

// receive takes a message from the network.
func (in *instance) receive(m channel.Message) {
	if in.dead {
		return
	}
	in.w.log(line{what: "receive " + m.Kind.String(), who: in.task.Alias, inc: in.inc, to: m.From, payload: m.Payload})
	in.do(func() { in.core.Receive(m) })
}

// turn is one turn of the task's loop: the time, some work, and if there is none, idleness. It reports whether
// there was work.
func (in *instance) turn() (busy bool) {
	in.do(func() { busy = in.core.Turn(recovery.Tick(in.w.now - in.began)) })
	return busy
}

// canWrite reports whether a write to the log is pending.
func (in *instance) canWrite() bool {
	return in.writer != nil && !in.writing && !in.paused && !in.dead && in.writer.Busy()
}

// write has one record written.
func (in *instance) write() {
	in.writing = true
	a, err := in.writer.Step(in.context())
	in.writing = false
	switch {
	case in.dead:
	case errors.Is(err, checkpoint.ErrFull):
	case err != nil:
		in.w.ended(in, err)
	case a.Kind != task.NoAnswer:
		in.w.log(line{what: "written", who: in.task.Alias, inc: in.inc, a: uint64(a.Kind), b: uint64(in.w.store.end)})
		in.answers = append(in.answers, a)
	}
}

// context is the context of the log's calls.
func (in *instance) context() context.Context { return context.Background() }

// answer hands the oldest answer to the core.
func (in *instance) answer() {
	a := in.answers[0]
	in.answers = in.answers[1:]
	in.w.log(line{what: "answer", who: in.task.Alias, inc: in.inc, a: uint64(a.Kind)})
	in.do(func() { in.core.Answered(a) })
}

// errPanic is the value of the operators' panics.
var errPanic = errors.New("sim: an operator panics")

// do runs a part of the core, and takes note of how it ended.
func (in *instance) do(f func()) {
	if in.dead {
		return
	}
	err := func() (err error) {
		defer func() {
			if v := recover(); v == errPanic {
				err = errPanic
			} else if v != nil {
				err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
				in.w.violate("I9", "%v: %v", in.task.Alias, err)
			}
		}()
		f()
		return in.core.Err()
	}()
	if err != nil && !in.dead {
		in.w.ended(in, err)
		return
	}
	if !in.dead {
		in.w.bounds(in)
	}
}
