package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/tuple"
)

// A TapQuery selects tuples that pass between operators.
type TapQuery struct {
	Topology string
	Route    Route
	Every    uint64 // only tuples whose sequence number is a multiple of it; 0: all
	Count    int    // end after that many tuples; 0: when the context ends

	// OnListening is called when the tap has begun, with the instance that it listens to. It may be nil.
	OnListening func(cluster.Instance)
}

// A TapResult counts the tuples that a tap has not shown.
type TapResult struct {
	Skipped uint64 // tuples that came faster than they could be printed
	Dropped uint64 // frames that came faster than they could be read
	Damaged uint64 // messages that were not frames of this topology's plan
}

// tapQueue is how many lines may wait to be printed. Tuples that arrive while it is full are skipped, so that the connection
// is always read at full speed: a slow reader would make the servers delay the sender.
const tapQueue = 1024

// Tap calls f for each tuple that the query selects, as a line of JSON: {"id":"split.0>count.1#42","fields":{…}}. The
// topology does not notice. Tuples that are resent to a restored task travel elsewhere, and do not appear. Tap returns when
// Count is reached, the context ends (with a nil error), or f returns an error.
func (c *Client) Tap(ctx context.Context, q TapQuery, f func(line []byte) error) (TapResult, error) {
	d, err := c.Describe(ctx, q.Topology)
	if err != nil {
		return TapResult{}, err
	}
	t, err := newTap(q, &d.Record)
	if err != nil {
		return TapResult{}, err
	}
	subject := q.Route.subject(c.subjects, d.Record.Instance)
	sub, err := c.nc.Subscribe(subject, t.take)
	if err != nil {
		return TapResult{}, fmt.Errorf("client: subscribe to %s: %w", subject, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := c.nc.FlushTimeout(c.opt.Timeout); err != nil {
		return TapResult{}, fmt.Errorf("client: subscribe to %s: %w", subject, err)
	}
	if q.OnListening != nil {
		q.OnListening(d.Record.Instance)
	}
	err = c.tapped(ctx, t, q.Count, f)
	dropped, _ := sub.Dropped()
	return TapResult{Skipped: t.skipped.Load(), Dropped: uint64(dropped), Damaged: t.damaged.Load()}, err
}

// tapped passes lines on until there is an end.
func (c *Client) tapped(ctx context.Context, t *tap, count int, f func(line []byte) error) error {
	for n := 0; count == 0 || n < count; n++ {
		select {
		case line := <-t.lines:
			if err := f(line); err != nil {
				return err
			}
		case err := <-c.denied:
			return denied("tap", cluster.Operate, err)
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// A tap decodes frames. The subscription's goroutine owns all but the channel and the counters.
type tap struct {
	route   Route
	every   uint64
	edge    *cluster.Edge
	sources int
	plan    uint64
	fields  *tuple.Fields
	cursor  tuple.Cursor
	lines   chan []byte
	skipped atomic.Uint64 // tuples that came while the queue was full
	damaged atomic.Uint64 // frames that could not be read
}

func newTap(q TapQuery, r *cluster.Record) (*tap, error) {
	t := &tap{route: q.Route, every: max(q.Every, 1), plan: r.Spec.Plan, lines: make(chan []byte, tapQueue)}
	var err error
	if t.edge, err = q.Route.edge(&r.Spec); err != nil {
		return nil, err
	}
	if err := r.Instance.Check(); err != nil {
		return nil, err
	}
	from := r.Spec.Operator(q.Route.from)
	t.sources = from.Parallel
	for _, s := range from.Streams {
		if s.Name == t.edge.Stream && len(s.Fields) > 0 {
			if t.fields, err = tuple.NewFields(s.Fields...); err != nil {
				return nil, err
			}
		}
	}
	return t, nil
}

// take reads one frame. It never blocks.
func (t *tap) take(m *nats.Msg) {
	if natscluster.FromStream(m) {
		return // no task has sent it
	}
	f, err := channel.Decode(m.Data)
	if err != nil || f.Plan != t.plan {
		t.damaged.Add(1)
		return
	}
	c, ok := t.route.channel(t.edge, t.sources, f.Channel)
	if !ok {
		return // another stream between the same tasks
	}
	first, last := uint64(f.First), uint64(f.Last())
	if last/t.every == (first-1)/t.every {
		return // none of the sample is in it
	}
	t.cursor.Reset(f.Payload(), tuple.Origin{Channel: &c, First: f.First, Fields: t.fields})
	for {
		item, err := t.cursor.Next()
		if err != nil {
			t.damaged.Add(1)
			return
		}
		if item == tuple.None {
			return
		}
		if item != tuple.Data || uint64(t.cursor.Seq())%t.every != 0 {
			continue
		}
		if len(t.lines) == cap(t.lines) { // checked before it is encoded: there is no other sender
			t.skipped.Add(1)
			continue
		}
		line, err := encodeTuple(t.cursor.Tuple())
		if err != nil {
			t.damaged.Add(1)
			continue
		}
		t.lines <- line
	}
}

// encodeTuple writes a tuple as a line of JSON, its fields in their order.
func encodeTuple(tp tuple.Tuple) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	put := func(v any) error {
		err := e.Encode(v)
		if n := b.Len(); err == nil {
			b.Truncate(n - 1) // the line feed
		}
		return err
	}
	b.WriteString(`{"id":`)
	if err := put(tp.ID().String()); err != nil {
		return nil, err
	}
	b.WriteString(`,"fields":{`)
	names := tp.Fields().Names()
	for i := range tp.Len() {
		if i > 0 {
			b.WriteByte(',')
		}
		name := "#" + strconv.Itoa(i)
		if i < len(names) {
			name = names[i]
		}
		v := tp.Any(i)
		if err := tp.Err(); err != nil { // a msgpack extension without a form in JSON
			v = nil
		}
		if err := errors.Join(put(name), b.WriteByte(':'), put(v)); err != nil {
			return nil, err
		}
	}
	b.WriteString("}}\n")
	return b.Bytes(), nil
}
