package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// Bounds of requests.
const (
	defaultTail = 100
	mostTail    = 10_000
	mostReaders = 16 // at a time; further ones are refused until later
	maxMessage  = 64 << 10
	pollOutput  = 100 * time.Millisecond // and at most chunk bytes each time: 2.5 MB a second
	chunk       = 256 << 10
	aliveEvery  = time.Second
	mostFollow  = 12 * time.Hour
)

// A logService answers requests for the output of workers.
type logService struct {
	*Supervisor
	ctx     context.Context
	readers chan struct{} // one for each that is being answered
	work    sync.WaitGroup
}

// serveLogs begins to answer; stop ends that, and waits.
func (s *Supervisor) serveLogs(ctx context.Context) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	l := &logService{Supervisor: s, ctx: ctx, readers: make(chan struct{}, mostReaders)}
	service, err := micro.AddService(s.nc, micro.Config{
		Name: "askback-supervisor", Version: "1.0.0", Description: "Supervisor " + s.cfg.Name + " of an Askback cluster",
		QueueGroupDisabled: true, Metadata: map[string]string{"supervisor": s.cfg.Name},
	})
	if err == nil {
		err = service.AddEndpoint(cluster.VerbLogs, micro.HandlerFunc(l.handle),
			micro.WithEndpointSubject(s.subjects.Host(s.cfg.Name, cluster.VerbLogs)))
	}
	if err != nil {
		cancel()
		return nil, fmt.Errorf("supervisor: serve logs: %w", err)
	}
	return func() {
		_ = service.Stop()
		cancel()
		l.work.Wait()
	}, nil
}

// handle checks a request and answers it on a goroutine of its own.
func (l *logService) handle(m micro.Request) {
	if !natscluster.ValidReply(m.Reply()) || natscluster.FromStream(&nats.Msg{Header: nats.Header(m.Headers())}) {
		return // the request names a reply subject at which its sender may not publish
	}
	refuse := func(code cluster.ErrCode, text string) { _ = m.Error(string(code), text, nil) }
	var ask cluster.LogsRequest
	if err := json.Unmarshal(m.Data(), &ask); err != nil {
		refuse(cluster.CodeBadRequest, "the request is not JSON as it should be")
		return
	}
	out, err := l.find(&ask)
	if err != nil {
		refuse(err.Code, err.Text)
		return
	}
	select {
	case l.readers <- struct{}{}:
	default:
		refuse(cluster.CodeUnavailable, fmt.Sprintf("supervisor %s is read by %d already: try again", l.cfg.Name, mostReaders))
		return
	}
	l.work.Go(func() {
		defer func() { <-l.readers }()
		l.answer(out, &ask, m.Reply())
	})
}

// find returns the output that is asked for.
func (l *logService) find(ask *cluster.LogsRequest) (*output, *cluster.RequestError) {
	slot := cluster.WorkerSlot{Instance: ask.Instance, Supervisor: l.cfg.Name, Number: ask.Slot}
	err := slot.Check()
	if err == nil && ask.Task != "" {
		var a msgid.Alias
		a, err = msgid.ParseAlias(ask.Task)
		ask.Task = a.String()
	}
	if err == nil && ask.Tail < 0 {
		err = fmt.Errorf("tail %d: want 0 or more", ask.Tail)
	}
	if err != nil {
		return nil, &cluster.RequestError{Code: cluster.CodeBadRequest, Text: oneLine(err)}
	}
	out := &output{l.dir.output(slot), l.cfg.MaxLog, l.cfg.LogFiles}
	if _, err := os.Stat(out.path); err != nil {
		return nil, &cluster.RequestError{Code: cluster.CodeNotFound,
			Text: fmt.Sprintf("worker %s has written nothing here, or more than %v ago", slot, l.cfg.KeepLogs)}
	}
	return out, nil
}

// answer sends the newest lines, and then those that are written.
func (l *logService) answer(out *output, ask *cluster.LogsRequest, to string) {
	tail := ask.Tail
	if tail == 0 {
		tail = defaultTail
	}
	p := &packer{send: func(text []byte) error { return l.nc.Publish(to, text) }}
	lines, at := out.tail(min(tail, mostTail), lineFilter(ask.Task))
	for _, line := range lines {
		p.add(line)
	}
	p.flush()
	if ask.Follow && p.err == nil {
		l.follow(&follower{out: out, wanted: lineFilter(ask.Task), at: at}, p, to)
	}
	_ = l.nc.Publish(to, nil)
}

// follow sends lines as they are written, until the client has gone.
func (l *logService) follow(f *follower, p *packer, to string) {
	inbox := l.nc.NewInbox()
	replies, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return
	}
	defer func() { _ = replies.Unsubscribe() }()
	alive := nats.NewMsg(to)
	alive.Reply = inbox
	alive.Header.Set(cluster.LogsAlive, "1")
	tick := time.NewTicker(pollOutput)
	defer tick.Stop()
	begun, asked := time.Now(), time.Time{}
	for now := begun; now.Sub(begun) < mostFollow; {
		f.read(p.add)
		p.flush()
		if now.Sub(asked) >= aliveEvery {
			asked = now
			_ = l.nc.PublishMsg(alive)
		}
		if left(replies) || p.err != nil { // the client receives nothing any more, and asks again
			return
		}
		select {
		case <-l.ctx.Done():
			return
		case now = <-tick.C:
		}
	}
}

// left reports whether the server has reported that no client subscribes.
func left(replies *nats.Subscription) bool {
	m, err := replies.NextMsg(time.Microsecond)
	return errors.Is(err, nats.ErrNoResponders) || err == nil && len(m.Data) == 0 && m.Header.Get("Status") == "503"
}

// A packer puts lines together into messages.
type packer struct {
	send func([]byte) error
	text []byte
	err  error // of the first message that could not be sent; those after it are not
}

func (p *packer) add(line []byte) {
	if len(p.text)+len(line) > maxMessage {
		p.flush()
	}
	p.text = append(p.text, line...)
}

func (p *packer) flush() {
	if len(p.text) > 0 && p.err == nil {
		p.err = p.send(p.text)
	}
	p.text = p.text[:0]
}
