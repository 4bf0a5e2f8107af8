package worker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/executor"
)

// publish publishes an event of this worker. It does not block.
func (w *worker) publish(e cluster.Event) {
	e.Instance, e.Slot = w.launch.Slot.Instance, &w.launch.Slot
	w.events.Publish(e)
}

// recovered is the event of a recovery.
func recovered(r executor.Recovery) cluster.Event {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	cause := "unknown"
	if r.Cause != nil {
		cause = oneLine(r.Cause)
	}
	return cluster.Event{
		Kind: cluster.TaskRecovered, Task: r.Alias.String(),
		Text: fmt.Sprintf("incarnation %d is back after %.0f ms: %s; missed %d, replayed %d", r.Incarnation, ms(r.Took), cause, r.Missed, r.Replayed),
		Recovery: &cluster.Recovery{
			Alias: r.Alias, Incarnation: r.Incarnation, Cause: cause, Asked: r.Asked.String(),
			Missed: r.Missed, Replayed: r.Replayed, Reprocessed: r.Reprocessed, Duplicates: r.Duplicates,
			Detect: ms(r.Detect), Start: ms(r.Start), Load: ms(r.Load), Replay: ms(r.Replay), Took: ms(r.Took),
		},
	}
}

// onEvent logs events of the connections for tuples, and publishes denials.
func (w *worker) onEvent(e natschan.Event) {
	switch e.Kind {
	case natschan.Denied:
		w.denied(e.Err)
	case natschan.Closed:
	case natschan.Reconnected:
		w.log.Info("transport", zap.Stringer("event", e))
	default:
		w.log.Warn("transport", zap.Stringer("event", e))
	}
}

// asyncError is for errors of the line.
func (w *worker) asyncError(err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		w.denied(err)
		return
	}
	w.log.Warn("line", zap.Error(err))
}

// denied reports the 1st, 2nd, 4th, 8th … time only: heartbeats are denied twice a second, and events may be too.
func (w *worker) denied(err error) {
	if n := w.denials.Add(1); n&(n-1) != 0 {
		return
	}
	w.log.Error("denied by the server's permissions", zap.Error(err))
	w.publish(cluster.Event{Kind: cluster.Denied, Text: oneLine(err)})
}

// maxLine bounds the text of an event in bytes.
const maxLine = 1000

// oneLine is an error without the stack of a panic, and of bounded length.
func oneLine(err error) string {
	text, _, _ := strings.Cut(fmt.Sprint(err), "\n")
	return text[:min(len(text), maxLine)]
}
