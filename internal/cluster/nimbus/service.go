package nimbus

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// Bounds of a request in bytes.
const (
	maxSubmit  = 8 << 20 // the server's max_payload is less
	maxRequest = 64 << 10
)

// serve begins to answer requests. The returned function ends it.
//
// There is no queue group, for only the leader subscribes. A paused leader is still a subscriber, and must not receive a part
// of the requests in place of its successor.
func (t *term) serve() (stop func(), err error) {
	service, err := micro.AddService(t.nc, micro.Config{
		Name: "askback-nimbus", Version: cluster.Runtime + ".0.0", Description: "leads an Askback cluster",
		Metadata:           map[string]string{"name": t.cfg.Name, "prefix": string(t.subjects), "epoch": strconv.FormatUint(t.bucket.Epoch(), 10)},
		QueueGroupDisabled: true,
	})
	if err != nil {
		return nil, fmt.Errorf("nimbus: serve: %w", err)
	}
	stop = func() { _ = service.Stop() }
	for _, e := range t.endpoints() {
		if err := service.AddEndpoint(e.name, e.handler, micro.WithEndpointSubject(e.subject)); err != nil {
			stop()
			return nil, fmt.Errorf("nimbus: serve %s: %w", e.name, err)
		}
	}
	return stop, nil
}

// An endpoint is the subject and the handler of one kind of request.
type endpoint struct {
	name, subject string
	handler       micro.Handler
}

func (t *term) endpoints() []endpoint {
	user := func(role cluster.Role, verb string, h micro.Handler) endpoint {
		return endpoint{verb, t.subjects.API(role, verb), h}
	}
	return []endpoint{
		user(cluster.Operate, cluster.VerbSubmit, handle(t, maxSubmit, t.submit)),
		user(cluster.Operate, cluster.VerbKill, handle(t, maxRequest, answering(t.kill))),
		user(cluster.Operate, cluster.VerbActivate, handle(t, maxRequest, answering(t.activate))),
		user(cluster.Operate, cluster.VerbDeactivate, handle(t, maxRequest, answering(t.deactivate))),
		user(cluster.Operate, cluster.VerbRebalance, handle(t, maxRequest, t.rebalance)),
		user(cluster.Operate, cluster.VerbRestart, handle(t, maxRequest, t.restart)),
		user(cluster.Operate, cluster.VerbLevel, handle(t, maxRequest, answering(t.level))),
		user(cluster.View, cluster.VerbList, handle(t, maxRequest, answering(t.list))),
		user(cluster.View, cluster.VerbDescribe, handle(t, maxRequest, answering(t.describe))),
		user(cluster.View, cluster.VerbExplain, handle(t, maxRequest, t.explain)),
		user(cluster.Admin, cluster.VerbRemove, handle(t, maxRequest, answering(t.remove))),
		{"host-" + cluster.VerbJoin, t.subjects.HostAPI("*", cluster.VerbJoin), handle(t, maxRequest, answering(t.join))},
		{"host-" + cluster.VerbLogin, t.subjects.HostAPI("*", cluster.VerbLogin), handle(t, maxRequest, answering(t.login))},
		{"worker-" + cluster.VerbRenew, t.subjects.WorkerAPIs(cluster.VerbRenew), handle(t, maxRequest, answering(t.renew))},
	}
}

// A sender is the part of a subject that names the sender. The server lets no other client publish there.
type sender []string

// senderOf returns the sender of a subject "P.api.host.S.verb" or "P.api.worker.I.S.N.verb".
func senderOf(subject string) sender {
	parts := strings.Split(subject, ".")
	return parts[3 : len(parts)-1]
}

// A reply is the address of an answer. It does not use micro.Request, which belongs to its handler's goroutine, for the loop
// answers later.
type reply struct {
	nc  *nats.Conn
	to  string // "": no answer is expected
	log *zap.Logger
}

// send answers with a value, or with an error.
func (r reply) send(value any, err error) {
	if r.to == "" {
		return
	}
	m := nats.NewMsg(r.to)
	if err == nil {
		m.Data, err = json.Marshal(value)
	}
	if err == nil {
		err = natscluster.Pack(m, r.nc.MaxPayload())
	}
	if err != nil {
		m.Data = nil
		refused := &cluster.RequestError{Code: cluster.CodeInternal, Text: err.Error()}
		_ = errors.As(err, &refused)
		m.Header.Set(micro.ErrorCodeHeader, string(refused.Code))
		m.Header.Set(micro.ErrorHeader, oneLine(refused.Text))
	}
	if err := r.nc.PublishMsg(m); err != nil {
		r.log.Warn("an answer was not sent", zap.Error(err))
	}
}

// oneLine makes a text fit for a header.
func oneLine(text string) string { return strings.NewReplacer("\r", " ", "\n", " ").Replace(text) }

// forged reports whether a request misuses nimbus: the server does not check its reply subject, and nimbus may publish
// where the sender may not. Or JetStream has sent the request from a stream.
func forged(req micro.Request) bool {
	return req.Reply() != "" && !natscluster.ValidReply(req.Reply()) || natscluster.FromStream(&nats.Msg{Header: nats.Header(req.Headers())})
}

// handle returns a handler that decodes a request and enqueues its decision.
func handle[Q any](t *term, most int, decide func(ctx context.Context, who sender, q *Q, r reply)) micro.Handler {
	return micro.HandlerFunc(func(req micro.Request) {
		if forged(req) {
			t.log.Warn("request dropped: its sender may not publish on its reply subject", zap.String("on", req.Subject()), zap.String("reply", req.Reply()))
			return
		}
		r := reply{t.nc, req.Reply(), t.log}
		q := new(Q)
		if err := read(req.Data(), most, q); err != nil {
			r.send(nil, err)
			return
		}
		do := func(ctx context.Context) {
			if ctx.Err() != nil {
				r.send(nil, errTermOver)
				return
			}
			decide(ctx, senderOf(req.Subject()), q, r)
		}
		if !t.enqueue(do) {
			r.send(nil, errBusy)
		}
	})
}

var errBusy = &cluster.RequestError{Code: cluster.CodeUnavailable, Text: "nimbus is busy: try again in a moment"}

// answering makes a decision that answers at once.
func answering[Q, A any](decide func(ctx context.Context, who sender, q *Q) (A, error)) func(context.Context, sender, *Q, reply) {
	return func(ctx context.Context, who sender, q *Q, r reply) {
		answer, err := decide(ctx, who, q)
		r.send(answer, err)
	}
}

// read reads one JSON value of bounded size. Empty data is the zero value.
func read(data []byte, most int, into any) error {
	if len(data) > most {
		return &cluster.RequestError{Code: cluster.CodeBadRequest, Text: fmt.Sprintf("the request has %d bytes, at most %d are read", len(data), most)}
	}
	if len(bytes.TrimSpace(data)) == 0 {
		return nil
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &cluster.RequestError{Code: cluster.CodeBadRequest, Text: fmt.Sprintf("the request cannot be read: %.200s", err.Error())}
	}
	return nil
}

// requestTimeout bounds requests of nimbus to workers and to NATS on behalf of a request.
const requestTimeout = 2 * time.Second
