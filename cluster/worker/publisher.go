package worker

import (
	"encoding/json"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/cluster"
)

type publisher struct {
	nc *nats.Conn
	s  cluster.Subjects
}

func newPublisher(nc *nats.Conn, s cluster.Subjects) *publisher { return &publisher{nc, s} }

func (p *publisher) Publish(e cluster.Event) {
	text, _ := json.Marshal(e)
	_ = p.nc.Publish(p.s.Event(string(e.Instance)), text)
}

func (p *publisher) Close() { _ = p.nc.Flush() }
