package worker

import (
	"encoding/json"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// listen subscribes to the worker's subjects.
func (w *worker) listen() error {
	for verb, f := range map[string]nats.MsgHandler{cluster.VerbAssign: w.onAssignment, cluster.VerbCrash: w.onCrash, cluster.VerbSpec: w.onSpec} {
		_, err := w.nc.Subscribe(w.subjects.Worker(w.launch.Slot, verb), func(m *nats.Msg) {
			if !natscluster.FromStream(m) {
				f(m)
			}
		})
		if err != nil {
			return fmt.Errorf("listen for %s: %w", verb, err)
		}
	}
	return nil
}

// onAssignment puts an assignment into the mail. The newest of those waiting counts.
func (w *worker) onAssignment(m *nats.Msg) {
	o := &cluster.Assignment{}
	if err := json.Unmarshal(m.Data, o); err != nil || o.Instance != w.launch.Slot.Instance {
		w.log.Warn("no order for this worker", zap.String("instance", string(o.Instance)))
		return
	}
	if waits := w.inbox.Load(); waits != nil {
		if waits.Revision > o.Revision {
			return
		}
		if o.JWT == "" {
			o.JWT = waits.JWT
		}
	}
	w.inbox.Store(o)
	w.wakeUp()
}

// onCrash ends a task as a crash would.
func (w *worker) onCrash(m *nats.Msg) {
	var ask cluster.TaskRequest
	if err := json.Unmarshal(m.Data, &ask); err != nil {
		w.refuse(m, cluster.CodeBadRequest, "the request is not JSON as it should be")
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	switch member := w.members[ask.Task]; {
	case member == nil:
		w.refuse(m, cluster.CodeNotFound, fmt.Sprintf("task %.80s does not run in worker %s", ask.Task, w.launch.Slot))
	case !member.Kill():
		w.refuse(m, cluster.CodeConflict, fmt.Sprintf("task %s is %s, so there is nothing to end", ask.Task, member.Info().State))
	default:
		w.answer(m, nats.Header{}, "{}")
	}
}

// onSpec answers with the program's Spec at other numbers of tasks.
func (w *worker) onSpec(m *nats.Msg) {
	var ask cluster.SpecRequest
	if err := json.Unmarshal(m.Data, &ask); err != nil {
		w.refuse(m, cluster.CodeBadRequest, "the request is not JSON as it should be")
		return
	}
	is := &w.launch.Spec
	spec, err := Describe(w.builder.Override(ask.Parallel), is.Strategy, configOf(&is.Settings), is.FrameSize)
	if err != nil {
		w.refuse(m, cluster.CodeConflict, oneLine(err))
		return
	}
	spec.Name = is.Name
	text, err := json.Marshal(spec)
	if err != nil {
		w.refuse(m, cluster.CodeInternal, oneLine(err))
		return
	}
	w.answer(m, nats.Header{}, string(text))
}

// refuse answers with an error, as services do.
func (w *worker) refuse(m *nats.Msg, code cluster.ErrCode, text string) {
	w.answer(m, nats.Header{micro.ErrorHeader: {text}, micro.ErrorCodeHeader: {string(code)}}, "")
}

func (w *worker) answer(m *nats.Msg, header nats.Header, text string) {
	if natscluster.ValidReply(m.Reply) {
		_ = m.RespondMsg(&nats.Msg{Header: header, Data: []byte(text)}) // a client without an answer asks again
	}
}
