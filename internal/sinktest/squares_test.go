package sinktest_test

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A server is what sinks write to. It can be killed, and started again.
type server interface {
	Kill()
	Again()
}

// chanceOf returns the chance of one test, which prints its seed if it fails.
func chanceOf(t *testing.T) (seed uint64, chance *rand.Rand) {
	seed = uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return seed, rand.New(rand.NewPCG(seed, 1))
}

// A Square is a number with its square.
type Square struct {
	N      int64 `db:"n"`
	Square int64 `db:"square"`
}

// rows returns a topology of two spouts, two bolts and two sinks, which squares the numbers from 0. Two inputs merge in each
// bolt, in whatever order.
func rows(numbers int64, sink func(*topology.Builder) *topology.Node) topology.Topology {
	pause := slow()
	b := topology.New("squares")
	b.Spout("numbers", spout.Generate(numbers, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).
		Parallel(2).Fields("n")
	b.Bolt("square", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		pause()
		return out.Row().Int(t.Int(0)).Int(t.Int(0) * t.Int(0)).Emit()
	})).Parallel(2).Shuffle("numbers").Fields("n", "square")
	sink(b).Parallel(2).Shuffle("square")
	return b
}

// typed returns the same in typed steps. The sink is fused with the step before it unless it needs message ids.
func typed(numbers int64, sink stream.Sink[Square]) topology.Topology {
	pause := slow()
	t := stream.New("squares")
	from := stream.From(t, "numbers", stream.Generate(numbers, func(i int64) int64 { return i })).Parallel(2)
	squares := stream.Map(from.Rebalance(), "square", func(n int64) Square {
		pause()
		return Square{n, n * n}
	})
	stream.To(squares, "out", sink)
	return t
}

// slow returns a function that takes its time now and then, so that the server is killed in the middle.
func slow() func() {
	var calls atomic.Int64
	return func() {
		if calls.Add(1)%100 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// kill runs a topology, and kills six tasks and the server meanwhile.
func kill(t *testing.T, of topology.Topology, to server, opts ...askback.Option) {
	t.Helper()
	seed, chance := chanceOf(t)
	ended := make(chan error, 1)
	var report *askback.Report
	go func() {
		var err error
		report, err = askback.Run(t.Context(), of, append(opts, faults.Kill(6, seed))...)
		ended <- err
	}()
	kills := 0
	for running := true; running; {
		select {
		case err := <-ended:
			must.Do(t, err)
			running = false
		case <-time.After(time.Duration(100+chance.IntN(300)) * time.Millisecond):
			if kills < 3 {
				kills++
				to.Kill()
				to.Again()
			}
		}
	}
	if report.Kills != 6 || kills == 0 {
		t.Errorf("%d tasks and %d servers were killed", report.Kills, kills)
	}
}
