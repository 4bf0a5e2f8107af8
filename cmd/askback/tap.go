package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/tuple"
)

func tapCommand() *cobra.Command {
	var sample string
	var count int
	var length time.Duration
	o := &oneTopology{
		use: "tap NAME SOURCE>TARGET", short: "Print tuples as they pass, without redeploying",
		long: `Tap listens to what one operator sends to another, and prints the tuples as JSON, one a line, with the names of their
fields. The topology does not notice. Everything passes by at full speed, so of a busy stream ask for a sample: 1/100
prints each tuple whose sequence number is a multiple of 100, hence the same ones if they are sent again. What comes
faster than it can be printed is skipped, and the end says how much. Tuples that are sent again to a task that is
restored travel elsewhere, and do not appear.`,
		example: `  askback tap wordcount 'split>count' --sample 1/1000
  askback tap wordcount 'split.0>count.1' --count 10
  askback tap wordcount 'split:errors>dead' --for 1m`,
		more: 1, complete: edgesOf,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&sample, "sample", "1/1", "which part of the tuples to print, one in n")
			cmd.Flags().IntVar(&count, "count", 0, "how many tuples to print (default: until Ctrl-C)")
			cmd.Flags().DurationVar(&length, "for", 0, "how long to listen (default: until Ctrl-C)")
		},
	}
	t := &tap{lines: make(chan []byte, tapQueue)}
	o.check = func(args []string) (err error) {
		if t.route, err = parseRoute(args[1]); err != nil {
			return err
		}
		if count < 0 || length < 0 {
			return errors.New("--count and --for: want more than 0")
		}
		t.every, err = parseSample(sample)
		return err
	}
	o.run = func(ctx context.Context, s *session, args []string) error {
		t.session = s
		d, err := s.find(ctx, args[0])
		if err != nil {
			return err
		}
		if length > 0 {
			var stop func()
			ctx, stop = context.WithTimeout(ctx, length)
			defer stop()
		}
		return t.run(ctx, &d.Record, count)
	}
	return o.command()
}

// parseSample reads "1/100", or "100".
func parseSample(text string) (every uint64, err error) {
	every, err = strconv.ParseUint(strings.TrimPrefix(text, "1/"), 10, 64)
	if err != nil || every == 0 {
		return 0, fmt.Errorf("--sample %.40q: want 1/n, such as 1/100", text)
	}
	return every, nil
}

// tapQueue is how many lines may wait to be printed. What comes while it is full is skipped, so that the connection is
// always read at full speed: a slow reader would make the servers hold up whoever sends to it.
const tapQueue = 1024

// A tap prints what passes on some channels.
type tap struct {
	*session
	route   route
	every   uint64
	edge    *cluster.Edge
	sources int
	plan    uint64
	fields  *tuple.Fields
	cursor  tuple.Cursor // of the subscription's goroutine
	lines   chan []byte
	skipped atomic.Uint64 // tuples that came while the queue was full
	damaged atomic.Uint64 // frames that could not be read
}

func (t *tap) run(ctx context.Context, r *cluster.Record, count int) (err error) {
	t.plan = r.Spec.Plan
	if t.edge, err = t.route.edge(&r.Spec); err != nil {
		return err
	}
	if err := r.Instance.Check(); err != nil {
		return err
	}
	from := r.Spec.Operator(t.route.from)
	t.sources = from.Parallel
	for _, s := range from.Streams {
		if s.Name == t.edge.Stream && len(s.Fields) > 0 {
			if t.fields, err = tuple.NewFields(s.Fields...); err != nil {
				return err
			}
		}
	}
	subject := t.route.subject(t.subjects, r.Instance)
	sub, err := t.nc.Subscribe(subject, t.take)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", subject, err)
	}
	defer func() {
		dropped, _ := sub.Dropped()
		_ = sub.Unsubscribe()
		t.rest(dropped)
	}()
	if err := t.nc.FlushTimeout(t.timeout); err != nil {
		return fmt.Errorf("listen on %s: %w", subject, err)
	}
	fmt.Fprintf(t.err, "listening to %v of %s\n", t.route, r.Instance)
	for n := 0; count == 0 || n < count; n++ {
		select {
		case line := <-t.lines:
			if _, err := t.out.Write(line); err != nil {
				return err
			}
		case err := <-t.denied:
			return fmt.Errorf("%w: %w; tap needs the role %s", errDenied, err, cluster.Operate)
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// rest says what was not printed.
func (t *tap) rest(dropped int) {
	if n := t.skipped.Load(); n > 0 {
		fmt.Fprintf(t.err, "%s tuples came faster than they could be printed, and were skipped; a smaller --sample helps\n", grouped(n))
	}
	if dropped > 0 {
		fmt.Fprintf(t.err, "%s frames came faster than they could be read, and were dropped\n", grouped(dropped))
	}
	if n := t.damaged.Load(); n > 0 {
		fmt.Fprintf(t.err, "%s messages were no frames of this topology's plan\n", grouped(n))
	}
}

// take reads one frame. It never waits.
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
		if len(t.lines) == cap(t.lines) { // before it is encoded; nobody else sends
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
		if err := tp.Err(); err != nil { // an extension that JSON has not
			v = nil
		}
		if err := errors.Join(put(name), b.WriteByte(':'), put(v)); err != nil {
			return nil, err
		}
	}
	b.WriteString("}}\n")
	return b.Bytes(), nil
}
