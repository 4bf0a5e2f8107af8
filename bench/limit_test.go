package bench

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/tuple"
)

// limit counts words with a hand-written loop over the same server, with frames of the same size and tuples of
// the same form, but without any framework: no protocol, no recovery, no interfaces. It is what the runtime's own
// work is measured against. It returns how many words it counted.
func limit(t testing.TB, text *Text, passes, parallel int) int64 {
	server, err := embed.Start(embed.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	conn, err := nats.Connect("", nats.InProcessServer(server.InProcess()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	var splits, counts sync.WaitGroup
	credit := make([]chan struct{}, parallel) // of frames on their way to a split or count
	grant := make([]chan struct{}, parallel)
	total := make([]int64, parallel)
	for i := range parallel {
		credit[i], grant[i] = make(chan struct{}, window), make(chan struct{}, window*parallel)
		receive(t, conn, &counts, fmt.Sprintf("count.%d", i), parallel, grant[i], counter(&total[i]))
		receive(t, conn, &splits, fmt.Sprintf("split.%d", i), 1, credit[i], splitter(conn, grant))
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	out := make([]outlet, parallel)
	for n := range text.Len() * passes {
		line := text.Line(n % text.Len())
		o := &out[n%parallel]
		o.row(line)
		if len(o.frame) >= frameSize {
			credit[n%parallel] <- struct{}{}
			o.send(conn, fmt.Sprintf("split.%d", n%parallel))
		}
	}
	for i := range out {
		credit[i] <- struct{}{}
		out[i].send(conn, fmt.Sprintf("split.%d", i))
		credit[i] <- struct{}{}
		out[i].send(conn, fmt.Sprintf("split.%d", i)) // an empty frame is the end
	}
	splits.Wait()
	counts.Wait()
	var sum int64
	for _, n := range total {
		sum += n
	}
	return sum
}

const (
	frameSize = 16 << 10
	window    = 64 // frames, as the runtime's default of 1 MiB
)

// receive hands the frames of a subject to consume on a goroutine of its own, until all sources have ended.
func receive(t testing.TB, conn *nats.Conn, group *sync.WaitGroup, subject string, sources int, credit chan struct{}, consume func(frame []byte)) {
	frames := make(chan *nats.Msg, (sources+1)*window)
	sub, err := conn.ChanSubscribe(subject, frames)
	if err != nil {
		t.Fatal(err)
	}
	group.Go(func() {
		defer sub.Unsubscribe()
		for ended := 0; ended < sources; {
			m := <-frames
			if len(m.Data) == 0 {
				if ended++; ended == sources {
					consume(nil)
				}
			} else {
				consume(m.Data)
			}
			<-credit
		}
	})
}

// An outlet is a frame being filled.
type outlet struct{ frame []byte }

func (o *outlet) row(s []byte) {
	switch {
	case len(s) < 32:
		o.frame = append(o.frame, 0x91, 0xa0|byte(len(s)))
	default:
		o.frame = append(o.frame, 0x91, 0xda, 0, 0)
		binary.BigEndian.PutUint16(o.frame[len(o.frame)-2:], uint16(len(s)))
	}
	o.frame = append(o.frame, s...)
}

func (o *outlet) send(conn *nats.Conn, subject string) {
	if err := conn.Publish(subject, o.frame); err != nil {
		panic(err)
	}
	o.frame = o.frame[:0]
}

// rows calls yield for each row of a frame.
func rows(frame []byte, yield func(s []byte)) {
	for len(frame) > 0 {
		n, at := int(frame[1]&31), 2
		if frame[1] == 0xda {
			n, at = int(binary.BigEndian.Uint16(frame[2:])), 4
		}
		yield(frame[at : at+n])
		frame = frame[at+n:]
	}
}

func splitter(conn *nats.Conn, grant []chan struct{}) func([]byte) {
	out := make([]outlet, len(grant))
	subjects := make([]string, len(grant))
	for i := range subjects {
		subjects[i] = fmt.Sprintf("count.%d", i)
	}
	send := func(i int) {
		grant[i] <- struct{}{}
		out[i].send(conn, subjects[i])
	}
	return func(frame []byte) {
		rows(frame, func(line []byte) {
			for word := range words.Of(line) {
				i := int(tuple.Hash(word) % uint64(len(out)))
				out[i].row(word)
				if len(out[i].frame) >= frameSize {
					send(i)
				}
			}
		})
		if frame == nil {
			for i := range out {
				send(i)
				send(i)
			}
		}
	}
}

func counter(total *int64) func([]byte) {
	counts := make(map[string]*int64)
	return func(frame []byte) {
		rows(frame, func(word []byte) {
			n := counts[string(word)]
			if n == nil {
				n = new(int64)
				counts[string(word)] = n
			}
			*n++
		})
		if frame == nil {
			for _, n := range counts {
				*total += *n
			}
		}
	}
}
