// Package standin plays the parts of a cluster for tests of its users: a NATS server on which requests are answered as
// nimbus and supervisors would.
package standin

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/goleak"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/cluster"
)

// A Cluster is a NATS server without nimbus and supervisors. It ends with its test, which fails if goroutines are left.
type Cluster struct {
	t    testing.TB
	url  string
	nc   *nats.Conn
	mu   sync.Mutex
	last []byte // question that was answered
}

// Start starts one.
func Start(t testing.TB) *Cluster {
	t.Helper()
	ignore := goleak.IgnoreCurrent()
	s, err := embed.Start(embed.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, ignore)
	})
	return &Cluster{t: t, url: s.URL(), nc: nc}
}

// URL returns the server's URL.
func (c *Cluster) URL() string { return c.url }

// Conn returns a connection to the server.
func (c *Cluster) Conn() *nats.Conn { return c.nc }

// Answer answers each request on a subject with a value, or refuses it with a *cluster.RequestError.
func (c *Cluster) Answer(subject string, with any) {
	c.t.Helper()
	c.Handle(subject, func(m *nats.Msg) {
		c.mu.Lock()
		c.last = m.Data
		c.mu.Unlock()
		_ = m.RespondMsg(Reply(m, with))
	})
}

// AnswerEach answers each request on a subject with the next result of f, until stop is called.
func (c *Cluster) AnswerEach(subject string, f func() any) (stop func()) {
	c.t.Helper()
	return c.Handle(subject, func(m *nats.Msg) { _ = m.RespondMsg(Reply(m, f())) })
}

// Handle handles messages on a subject, until stop is called.
func (c *Cluster) Handle(subject string, f func(m *nats.Msg)) (stop func()) {
	c.t.Helper()
	sub, err := c.nc.Subscribe(subject, f)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := c.nc.Flush(); err != nil {
		c.t.Fatal(err)
	}
	return func() { _ = sub.Unsubscribe() }
}

// Reply returns the answer to a request.
func Reply(m *nats.Msg, with any) *nats.Msg {
	reply := nats.NewMsg(m.Reply)
	if refused, ok := with.(*cluster.RequestError); ok {
		reply.Header.Set(micro.ErrorHeader, refused.Text)
		reply.Header.Set(micro.ErrorCodeHeader, string(refused.Code))
	} else {
		reply.Data, _ = json.Marshal(with)
	}
	return reply
}

// Question decodes the request that Answer answered last.
func Question[Q any](c *Cluster) (q Q) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := json.Unmarshal(c.last, &q); err != nil {
		c.t.Fatalf("%s: %v", c.last, err)
	}
	return q
}

// Output plays a supervisor with some lines of output in its slots 0 and 3, and a line that shows the request.
func (c *Cluster) Output(supervisor string, lines ...string) {
	c.t.Helper()
	c.Handle("askback.host."+supervisor+".logs", func(m *nats.Msg) {
		var q cluster.LogsRequest
		_ = json.Unmarshal(m.Data, &q)
		if q.Slot != 0 && q.Slot != 3 {
			_ = m.RespondMsg(Reply(m, &cluster.RequestError{Code: cluster.CodeNotFound, Text: "nothing was written"}))
			return
		}
		alive := nats.NewMsg(m.Reply)
		alive.Header.Set(cluster.LogsAlive, "1")
		_ = m.RespondMsg(alive)
		_ = m.Respond([]byte(strings.Join(lines, "\n") + "\n"))
		_ = m.Respond(fmt.Appendf(nil, "task=%s tail=%d\n", q.Task, q.Tail))
		if !q.Follow {
			_ = m.Respond(nil)
		}
	})
}
