package executor

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
)

// An incarnation is one life of a task: its core, its goroutine, its inbox, and its logger's goroutine. It is the Env of
// its core.
type incarnation struct {
	task     *topology.Task
	core     *task.Core
	inbox    *inbox
	log      *logger // nil without a log
	endpoint channel.Endpoint
	failing  *atomic.Pointer[error] // why the log rejects appends just now

	began     time.Time
	ticked    recovery.Tick
	turn      atomic.Int64       // when its present turn began, Unix ns
	publish   func(*incarnation) // copies the state for other goroutines
	published time.Time
	restored  []recovery.Position // its positions at the beginning

	// end ends the context of the operator's calls, with the reason: the incarnation was killed, or superseded.
	end     context.CancelCauseFunc
	killed  atomic.Bool
	loggers sync.WaitGroup
	cancel  context.CancelFunc
}

// start joins the transport and begins the logger. From then on messages gather in the inbox.
func (in *incarnation) start(ctx context.Context, t channel.Transport, w *checkpoint.Writer) (err error) {
	in.endpoint, err = t.Join(in.task.Alias, in.inbox.deliver)
	if err != nil {
		return fmt.Errorf("%w: %w", errJoin, err)
	}
	ctx, in.cancel = context.WithCancel(ctx)
	if w != nil {
		in.log = newLogger(w, in.inbox, in.failing, in.end)
		in.loggers.Go(func() { in.log.run(ctx) })
	}
	return nil
}

// kill makes run return at its next turn, and ends the context of the operator's call.
func (in *incarnation) kill() {
	in.killed.Store(true)
	in.end(ErrKilled)
	in.inbox.wake()
}

// stop ends the goroutines that start began and waits for them. Letters in the inbox are dropped.
func (in *incarnation) stop() {
	if in.cancel != nil {
		in.cancel()
	}
	in.loggers.Wait()
	if in.endpoint != nil {
		_ = in.endpoint.Leave() // it fails only if the transport is closed, which also ends delivery
	}
}

// run is the task's goroutine: messages first, then work, and when there is none of either, sleep. It returns when ctx
// ends, with the cause (nil if there is no other than the end of the run), or when the task cannot continue.
func (in *incarnation) run(ctx context.Context) error {
	c := in.core
	in.began, in.restored = time.Now(), in.positions()
	c.Start()
	var letters []letter
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var scheduled time.Duration // when its turn on the processor began
	for {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		letters = in.inbox.take(letters)
		for i := range letters {
			if err := in.open(&letters[i]); err != nil {
				return err
			}
			letters[i] = letter{}
		}
		now := in.tick()
		in.turn.Store(in.began.Add(now).UnixNano())
		busy := c.Work()
		if ctx.Err() != nil { // an operator that returns for its context has failed for no other reason
			return ended(ctx)
		}
		if err := c.Err(); err != nil {
			return err
		}
		if busy {
			if now-scheduled >= quantum {
				runtime.Gosched()
				scheduled = time.Since(in.began)
			}
			continue
		}
		more := c.Idle()
		in.publish(in)
		if more {
			continue
		}
		if wake := c.Wake(); wake != 0 {
			timer.Reset(max(0, time.Duration(wake)*time.Millisecond-time.Since(in.began)))
		}
		select {
		case <-in.inbox.notify:
		case <-timer.C:
		case <-ctx.Done():
			return ended(ctx)
		}
		scheduled = time.Since(in.began)
	}
}

// ended returns the cause by which an incarnation was ended from outside: nil if the whole run was ended.
func ended(ctx context.Context) error {
	if err := context.Cause(ctx); !errors.Is(err, ctx.Err()) {
		return err
	}
	return nil
}

// quantum is how long a busy task keeps its processor. Without it that would be 10 ms, while the goroutines that
// carry its frames and its neighbours' ACKs wait in line; after every single frame its state had to come back to
// the processor's cache each time, which costs a fifth of the throughput.
const quantum = 500 * time.Microsecond

// tick passes the time to the core about once a millisecond. It returns the time since the run began.
func (in *incarnation) tick() time.Duration {
	since := time.Since(in.began)
	if now := recovery.Tick(since / time.Millisecond); now > in.ticked {
		in.ticked = now
		in.core.Tick(now)
		if time.Since(in.published) > 5*time.Millisecond {
			in.publish(in)
		}
	}
	return since
}

// open passes one letter to the core.
func (in *incarnation) open(l *letter) error {
	a := l.answer
	if a == nil {
		in.core.Receive(l.message)
		return in.core.Err()
	}
	if a.err != nil {
		return a.err
	}
	in.core.Answered(a.Answer)
	return in.core.Err()
}

// Send implements task.Env. A message that cannot be sent is lost, like one lost on the way; the protocol repeats it.
func (in *incarnation) Send(kind channel.Kind, to msgid.Alias, payload []byte) {
	_ = in.endpoint.Send(kind, to, payload)
}

// Append implements task.Env.
func (in *incarnation) Append(era int, data []byte) { in.log.records <- record{era, data} }

// Store implements task.Env.
func (in *incarnation) Store(era int, parts [][]byte, full bool) {
	in.log.snapshots <- snapshot{era, parts, full}
}

// positions returns the consumed positions of the task, or, of a spout, the emitted ones.
func (in *incarnation) positions() []recovery.Position {
	st := in.core.Status()
	at := st.Inputs
	if in.task.Operator.Spout != nil {
		at = st.Outputs
	}
	return append([]recovery.Position(nil), at...)
}

// again returns how many tuples that an earlier incarnation had processed up to a position this one processes again.
func (in *incarnation) again(until []recovery.Position) (n uint64) {
	for i, p := range until {
		if p.Seq > in.restored[i].Seq {
			n += uint64(p.Seq - in.restored[i].Seq)
		}
	}
	return n
}

// progress returns the progress of a spout that reports one.
func (in *incarnation) progress() (done, total int64) {
	if p, ok := in.core.Operator().(spout.Progresser); ok {
		return p.Progress()
	}
	return 0, 0
}

// closeOperator closes the operator, to release its outside resources. The operator may have panicked, and may again.
func (in *incarnation) closeOperator() {
	if in.core != nil {
		_ = task.Guard(in.task.Alias, in.core.Close)
	}
}
