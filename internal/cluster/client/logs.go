package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// A LogsQuery selects the output of a topology's workers.
type LogsQuery struct {
	Topology string
	Task     *msgid.Alias // only lines of this task's logger; nil: all lines
	Tail     int          // at most that many of the newest lines of each worker; 0: 100
	Follow   bool         // go on with new lines, until the context ends

	// OnError is called, while following, for each worker whose output cannot be read. It may be nil. Without Follow, Logs
	// returns these errors.
	OnError func(error)
}

// A LogLine is one line of a worker's output.
type LogLine struct {
	Supervisor string `json:"supervisor"`
	Slot       int    `json:"slot"`
	Line       string `json:"line"`
	Several    bool   `json:"-"` // more than one worker is read
}

const (
	// refreshEvery is how often a follower looks for new workers.
	refreshEvery = 2 * time.Second
	// maxSlots bounds the slots of a supervisor that are asked for the output of ended workers.
	maxSlots = 64
	// lineQueue is how many lines may wait for f. When it is full, supervisors wait, or NATS drops lines, which is reported.
	lineQueue = 256
)

// Logs calls f for each line that the query selects. If the topology has no workers, the output of ended workers is
// requested from every supervisor. An error of f ends it. Without Follow it returns when all output has been read, with
// an error that names the workers whose output could not be read; the lines of the others have been given to f.
func (c *Client) Logs(ctx context.Context, q LogsQuery, f func(LogLine) error) error {
	d, err := c.Describe(ctx, q.Topology)
	if err != nil {
		return err
	}
	if q.Task != nil && !slices.Contains(d.Record.Spec.Tasks(), *q.Task) {
		return fmt.Errorf("client: topology %s has no task %v", q.Topology, q.Task)
	}
	ctx, stop := context.WithCancel(ctx)
	l := &logs{Client: c, query: q, lines: make(chan line, lineQueue), open: map[cluster.WorkerSlot]bool{}}
	defer func() { stop(); l.group.Wait() }()
	if l.begin(ctx, d) == 0 && !q.Follow {
		if err := l.beginEverywhere(ctx, d); err != nil {
			return err
		}
	}
	ended := make(chan struct{})
	if q.Follow {
		l.group.Go(func() { l.refresh(ctx) })
	} else {
		go func() { l.group.Wait(); close(ended) }() // ends with the group, for which Logs waits
	}
	for {
		select {
		case one := <-l.lines:
			if err := l.deliver(one, f); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		case <-ended:
			for len(l.lines) > 0 {
				if err := l.deliver(<-l.lines, f); err != nil {
					return err
				}
			}
			if l.past && l.delivered == 0 {
				l.failed = append(l.failed, fmt.Errorf("client: topology %s has no worker, and no supervisor keeps output of an earlier one", q.Topology))
			}
			return errors.Join(l.failed...)
		}
	}
}

// logs is one call of Logs. A goroutine for each worker feeds lines.
type logs struct {
	*Client
	query LogsQuery
	lines chan line

	group sync.WaitGroup
	mu    sync.Mutex
	open  map[cluster.WorkerSlot]bool
	many  bool // more than one worker is read
	past  bool // slots that may never have had a worker are asked

	// Fields of the goroutine of Logs.
	delivered int
	failed    []error
}

// A line is one line, or why a worker's output cannot be read.
type line struct {
	LogLine
	err error
}

func (l *logs) deliver(one line, f func(LogLine) error) error {
	if one.err == nil {
		l.delivered++
		l.mu.Lock()
		one.Several = l.many
		l.mu.Unlock()
		return f(one.LogLine)
	}
	err := fmt.Errorf("%s/%d: %w", one.Supervisor, one.Slot, one.err)
	switch {
	case !l.query.Follow:
		l.failed = append(l.failed, err)
	case l.query.OnError != nil:
		l.query.OnError(err)
	}
	return nil
}

// refresh begins to read workers that have started meanwhile.
func (l *logs) refresh(ctx context.Context) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if d, err := l.Describe(ctx, l.query.Topology); err == nil {
				l.begin(ctx, d)
			}
		}
	}
}

// begin reads the output of each worker that is not being read, and returns the number of workers.
func (l *logs) begin(ctx context.Context, d *cluster.Description) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range d.Workers {
		if w.Slot.Check() != nil || l.query.Task != nil && !slices.Contains(w.Tasks, *l.query.Task) {
			continue
		}
		n++
		if slot := w.Slot; !l.open[slot] {
			l.open[slot] = true
			l.group.Go(func() {
				err := l.read(ctx, slot)
				if refused := (*cluster.RequestError)(nil); l.past && errors.As(err, &refused) && refused.Code == cluster.CodeNotFound {
					err = nil
				}
				if err != nil {
					l.send(ctx, slot, "", err)
				}
				l.mu.Lock()
				defer l.mu.Unlock()
				l.open[slot] = false
			})
		}
	}
	l.many = l.many || n > 1
	return n
}

// beginEverywhere requests the output of ended workers from every supervisor.
func (l *logs) beginEverywhere(ctx context.Context, d *cluster.Description) error {
	list, err := l.List(ctx)
	if err != nil {
		return err
	}
	var was cluster.Description
	for _, h := range list.Hosts {
		for number := range min(h.Host.Slots, maxSlots) {
			slot := cluster.WorkerSlot{Instance: d.Record.Instance, Supervisor: h.Host.Name, Number: number}
			was.Workers = append(was.Workers, cluster.WorkerStatus{Slot: slot, Tasks: d.Record.Spec.Tasks()})
		}
	}
	l.past = true
	l.begin(ctx, &was)
	return nil
}

// errLinesDropped occurs when lines come faster than they are read.
var errLinesDropped = errors.New("lines were dropped: they came faster than they could be printed")

// read reads the output of one worker to its end.
func (l *logs) read(ctx context.Context, slot cluster.WorkerSlot) error {
	request := cluster.LogsRequest{Instance: slot.Instance, Slot: slot.Number, Tail: l.query.Tail, Follow: l.query.Follow}
	if l.query.Task != nil {
		request.Task = l.query.Task.String()
	}
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	inbox := l.nc.NewInbox()
	sub, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := l.nc.PublishRequest(l.subjects.Host(slot.Supervisor, cluster.VerbLogs), inbox, body); err != nil {
		return err
	}
	for {
		one, stop := context.WithTimeout(ctx, l.opt.Timeout) // a followed supervisor sends a sign of life each second
		m, err := sub.NextMsgWithContext(one)
		stop()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrNoResponders):
			return fmt.Errorf("supervisor %s does not answer; \"askback list\" shows whether it is up", slot.Supervisor)
		case errors.Is(err, nats.ErrSlowConsumer):
			l.send(ctx, slot, "", errLinesDropped)
			continue
		case err != nil:
			return fmt.Errorf("supervisor %s has sent no more: %w", slot.Supervisor, err)
		}
		if err := natscluster.ReplyError(m); err != nil {
			return err
		}
		switch {
		case m.Header.Get(cluster.LogsAlive) != "":
			continue
		case len(m.Data) == 0:
			return nil
		}
		for text := range strings.SplitSeq(strings.TrimSuffix(string(m.Data), "\n"), "\n") {
			l.send(ctx, slot, text, nil)
		}
	}
}

func (l *logs) send(ctx context.Context, slot cluster.WorkerSlot, text string, err error) {
	select {
	case l.lines <- line{LogLine{Supervisor: slot.Supervisor, Slot: slot.Number, Line: text}, err}:
	case <-ctx.Done():
	}
}
