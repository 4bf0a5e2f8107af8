package task

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
)

// A runner is one incarnation of a task: its goroutine, its inbox, and its logger's goroutine.
type runner struct {
	core     *Core
	box      *inbox
	log      *logger // nil without a log
	endpoint channel.Endpoint
	era      int
	failing  *atomic.Pointer[error] // why the log takes nothing just now
	began    time.Time
	publish  func(*runner) // tells the outside how things stand
	told     time.Time

	// end ends the context of the operator's calls, with why: the incarnation was killed, or superseded.
	end     context.CancelCauseFunc
	killed  atomic.Bool
	loggers sync.WaitGroup
	cancel  context.CancelFunc
	unsent  uint64

	restored []recovery.Position // where it began
}

// ErrKilled is why an incarnation ended that Kill has ended.
var ErrKilled = errors.New("task: killed")

// guard turns a panic into an error.
func guard(alias msgid.Alias, f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &bolt.PanicError{Alias: alias, Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// start joins the transport and begins the logger. From then on messages gather in the inbox.
func (r *runner) start(ctx context.Context, t channel.Transport, w *checkpoint.Writer) (err error) {
	r.endpoint, err = t.Join(r.core.cfg.Task.Alias, r.box.deliver)
	if err != nil {
		return fmt.Errorf("%w: %w", errJoin, err)
	}
	ctx, r.cancel = context.WithCancel(ctx)
	if w != nil {
		r.log = newLogger(w, r.box, r.failing, r.end)
		r.loggers.Go(func() { r.log.run(ctx) })
	}
	return nil
}

// kill makes run return at its next turn, and ends the context of the operator's call.
func (r *runner) kill() {
	r.killed.Store(true)
	r.end(ErrKilled)
	select {
	case r.box.notify <- struct{}{}:
	default:
	}
}

// stop ends what start began and waits for it. What is in the inbox is dropped.
func (r *runner) stop() {
	if r.cancel != nil {
		r.cancel()
	}
	r.loggers.Wait()
	if r.endpoint != nil {
		_ = r.endpoint.Leave() // it fails only if the transport is closed, which is as good
	}
}

// run is the task's goroutine: messages first, then work, and when there is none of either, sleep. It returns when
// ctx ends, with the cause (nil if there is no other than the end of the run), or when the task cannot go on.
func (r *runner) run(ctx context.Context) error {
	c := r.core
	r.began, r.restored = time.Now(), positions(c)
	c.Start()
	var letters []letter
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var turn time.Duration // when its turn on the processor began
	for {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		letters = r.box.take(letters)
		for i := range letters {
			if err := r.open(&letters[i]); err != nil {
				return err
			}
			letters[i] = letter{}
		}
		now := r.tick()
		c.call.begun.Store(r.began.Add(now).UnixNano())
		busy := c.Work()
		if ctx.Err() != nil { // an operator that heeds its context has failed for no other reason
			return ended(ctx)
		}
		if err := c.Err(); err != nil {
			return err
		}
		if busy {
			if now-turn >= quantum {
				runtime.Gosched()
				turn = time.Since(r.began)
			}
			continue
		}
		more := c.Idle()
		r.publish(r)
		if more {
			continue
		}
		if wake := c.Wake(); wake != 0 {
			timer.Reset(max(0, time.Duration(wake)*time.Millisecond-time.Since(r.began)))
		}
		select {
		case <-r.box.notify:
		case <-timer.C:
		case <-ctx.Done():
			return ended(ctx)
		}
		turn = time.Since(r.began)
	}
}

// ended returns why an incarnation was ended from outside: nil if the whole run was.
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

// tick tells the core the time about once a millisecond. It returns the time since the run began.
func (r *runner) tick() time.Duration {
	since := time.Since(r.began)
	if now := recovery.Tick(since / time.Millisecond); now > r.core.now {
		r.core.Tick(now)
		if time.Since(r.told) > 5*time.Millisecond {
			r.publish(r)
		}
	}
	return since
}

// open hands one letter to the core.
func (r *runner) open(l *letter) error {
	a := l.answer
	if a == nil {
		r.core.Receive(l.message)
		return r.core.Err()
	}
	switch {
	case a.err != nil:
		return a.err
	case a.Kind == LogLost:
		r.era = a.Era
		r.core.StoreLost()
	case a.Era != r.era: // the log was lost meanwhile
	case a.Kind == OrderAppended:
		r.core.Appended()
	case a.Kind == SnapshotStored:
		r.core.Stored()
	}
	return r.core.Err()
}

// Send implements Env. A message that cannot be sent is lost, like one lost on the way: the protocol sees to it.
func (r *runner) Send(kind channel.Kind, to msgid.Alias, payload []byte) {
	if err := r.endpoint.Send(kind, to, payload); err != nil {
		r.unsent++
	}
}

// Append implements Env.
func (r *runner) Append(record []byte) { r.log.orders <- order{r.era, record} }

// Store implements Env.
func (r *runner) Store(parts [][]byte, full bool) { r.log.stores <- store{r.era, parts, full} }

// again returns how much of what an earlier incarnation had done up to a position this one does once more.
func (r *runner) again(until []recovery.Position) (n uint64) {
	for i, p := range until {
		if p.Seq > r.restored[i].Seq {
			n += uint64(p.Seq - r.restored[i].Seq)
		}
	}
	return n
}

// progress returns how far a spout is, if it knows.
func (r *runner) progress() (done, total int64) {
	if p, ok := r.core.Operator().(spout.Progresser); ok {
		return p.Progress()
	}
	return 0, 0
}
