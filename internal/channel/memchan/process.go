package memchan

import (
	"fmt"
	"slices"
	"sync"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// Process returns one more transport into the same network, as one more worker process would dial it. Closing it makes only
// its own endpoints leave, as the death of a worker does.
func (t *Transport) Process() channel.Transport { return &process{t: t} }

type process struct {
	t         *Transport
	mu        sync.Mutex
	endpoints []channel.Endpoint
	closed    bool
}

func (p *process) Join(self msgid.Alias, deliver func(channel.Message)) (channel.Endpoint, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, fmt.Errorf("join %s: %w", self, channel.ErrClosed)
	}
	e, err := p.t.Join(self, deliver)
	if err != nil {
		return nil, err
	}
	p.endpoints = slices.DeleteFunc(p.endpoints, func(e channel.Endpoint) bool { return e.(*Endpoint).hasLeft() })
	p.endpoints = append(p.endpoints, e)
	return e, nil
}

func (p *process) MaxPayload() int { return p.t.MaxPayload() }

func (p *process) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.endpoints {
		_ = e.Leave()
	}
	p.closed, p.endpoints = true, nil
	return nil
}
