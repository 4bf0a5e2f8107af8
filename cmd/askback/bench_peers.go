package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/bench"
	"github.com/askback/askback/bench/peers"
	"github.com/askback/askback/internal/report"
)

// peerModes are the modes in which each peer is measured.
var peerModes = map[string][]string{
	peers.Storm: {"acked", "unacked"},
	peers.Flink: {"unchained", "chained"},
}

// A rival is one peer in one mode.
type rival struct {
	system, mode string
	spec         peers.Spec
	progress     *ticker
}

// rivals builds the peers that are to be measured beside us, and makes the input that they read. Close removes it.
func (f *benchFlags) rivals(ctx context.Context, progress *ticker) (all []*rival, close func(), err error) {
	close = func() {}
	if f.peers == "" {
		return nil, close, nil
	}
	s := &f.spec
	if !slices.Contains([]string{"relay", "wordcount", "keyed"}, s.Workload) {
		return nil, close, fmt.Errorf("--peers: Storm and Flink have the workloads relay, wordcount and keyed, not %s", s.Workload)
	}
	if s.Fault.Kind != "" && s.Fault.Kind != bench.KillTask {
		return nil, close, fmt.Errorf("--peers: Storm and Flink can be compared with --fault none or task@%v, not %v", s.Fault.At, s.Fault)
	}
	systems := strings.Split(f.peers, ",")
	for _, system := range systems {
		if peerModes[system] == nil {
			return nil, close, fmt.Errorf("--peers %s: there are storm and flink", system)
		}
		if err := peers.Build(ctx, system, ""); err != nil {
			return nil, close, err
		}
	}
	input := ""
	if s.Workload == "wordcount" {
		if input, err = textFile(s.TextLimit); err != nil {
			return nil, close, err
		}
		close = func() { _ = os.Remove(input) }
	}
	for _, system := range systems {
		for _, mode := range peerModes[system] {
			all = append(all, &rival{system: system, mode: mode, progress: progress, spec: peers.Spec{
				System: system, Mode: mode, Workload: s.Workload, Input: input, Parallel: s.Parallel, Duration: s.Duration,
				Warmup: max(s.Warmup, javaWarmup), Sample: 100 * time.Millisecond, Rate: s.Rate, Seed: int64(s.Seed),
				KillAt: s.Fault.At, Detect: f.detect, Spouts: sources(s), Ackers: stormBest[s.Workload].ackers,
				MaxPending: stormBest[s.Workload].pending, Batch: stormBest[s.Workload].batch,
			}})
		}
	}
	return all, close, nil
}

// stormBest are the settings with which Storm was fastest on two cores, acknowledged: docs/benchmarks.md has the others.
var stormBest = map[string]struct{ ackers, pending, batch int }{
	"wordcount": {ackers: 1, pending: 1000, batch: 100},
	"keyed":     {ackers: 1, pending: 1000, batch: 100},
	"relay":     {ackers: 1, pending: 20_000, batch: 1000},
}

// javaWarmup is how long Java needs until it has compiled the code that runs often.
const javaWarmup = 10 * time.Second

// sources is how many sources our own workload has.
func sources(s *bench.Spec) int {
	if s.Workload == "wordcount" {
		return 1
	}
	return s.Parallel
}

// textFile writes the text that our own word count reads to a file.
func textFile(limit int64) (name string, err error) {
	text, err := bench.GoSource(limit)
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp("", "askback-bench-*.txt")
	if err != nil {
		return "", err
	}
	_, err = text.WriteTo(file)
	return file.Name(), errors.Join(err, file.Close())
}

// shortest is the shortest time, in seconds, over which a rate is meaningful.
const shortest = 0.05

// measure runs the peer once.
func (r *rival) measure(ctx context.Context, repeat int) *report.Run {
	run := &report.Run{System: r.system, Name: r.mode, Repeat: repeat}
	r.progress.start(run.Key(), repeat)
	var last peers.Sample
	got, err := peers.Run(ctx, r.spec, func(s peers.Sample) {
		tuples, was := s.Tuples-s.Reprocessed, last.Tuples-last.Reprocessed
		if r.spec.KillAt == 0 || s.T < r.spec.KillAt.Seconds() {
			run.Seconds, run.Results = s.T, tuples
		}
		if took := s.T - last.T; took > shortest { // a pause of Java's brings samples in a bunch
			rate := max(0, float64(tuples-was)/took)
			run.Series = append(run.Series, report.Point{At: (s.T + last.T) / 2, Rate: rate})
			r.progress.sample(time.Duration(s.T*float64(time.Second)), rate)
			last = s
		}
	})
	if err != nil {
		run.Error, run.Cut = err.Error(), ctx.Err() != nil
		return run
	}
	run.System, run.Guarantee = got.System+" "+got.Version, got.Guarantee
	run.Throughput, run.CPU, run.Memory = got.TuplesPerSecond, got.CPUNanos, got.RSSBytes
	if r.spec.KillAt > 0 && run.Seconds > 0 { // as ours: before the fault
		run.Throughput = float64(run.Results) / run.Seconds
	} else {
		run.Seconds, run.Results = got.Seconds, got.Tuples
	}
	ms := func(us *float64) float64 {
		if us == nil {
			return 0
		}
		return *us / 1000
	}
	if got.P50 != nil && r.spec.KillAt == 0 { // it includes the time after a fault
		run.Latency = &report.Latency{P50: ms(got.P50), P99: ms(got.P99), P999: ms(got.P999), Max: ms(got.Max)}
	}
	if rec := got.Recovery; rec != nil {
		number := func(n *int64) uint64 {
			if n == nil {
				return 0
			}
			return uint64(max(0, *n))
		}
		run.Recovery = &report.Recovery{
			At: r.spec.KillAt.Seconds(), Detected: rec.Detect, Resumed: rec.Resume, Regained: rec.RateBack, Cleared: rec.BacklogGone,
			Replayed: number(rec.Replayed), Reprocessed: number(rec.Reprocessed),
		}
	}
	return run
}
