package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"sync"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/inject"
	"github.com/askback/askback/strategy"
)

const (
	sampleEvery = 10 * time.Millisecond
	// lead is between the start of the tasks and the first tuple.
	lead = 50 * time.Millisecond
	// EndTimeout is how long a run may take to end when its sources have ended. A strategy that notices a loss
	// by a timeout of half a minute needs as much.
	EndTimeout = 90 * time.Second
)

// Measure carries out one measurement in this process, and writes messages about it to out, a line of JSON each.
// Processes that Compare starts do this. A measurement that ctx ends is not an error.
func Measure(ctx context.Context, s *Spec, out io.Writer) error {
	st, err := s.contender()
	if err != nil {
		return err
	}
	w, err := WorkloadNamed(s.Workload)
	if err != nil {
		return err
	}
	job, err := w.build(s, st.Guarantee() == strategy.ExactlyOnce)
	if err != nil {
		return err
	}
	debug.FreeOSMemory() // the memory of the preparation is not the run's
	m := &measurement{job: job, spec: s, out: json.NewEncoder(out), input: resident()}
	return m.run(ctx, st.Strategy)
}

// A measurement is one call of Measure.
type measurement struct {
	*job
	spec    *Spec
	control inject.Run
	zero    time.Time // when the measurement begins: the warm-up is over
	input   int64
	memory  int64

	mu  sync.Mutex
	out *json.Encoder
	err error // of out
}

func (m *measurement) send(msg message) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.out.Encode(msg); err != nil && m.err == nil {
		m.err = err
	}
}

// since returns a moment as messages have it: in µs since the measurement began.
func (m *measurement) since(t time.Time) int64 { return t.Sub(m.zero).Microseconds() }

func (m *measurement) run(ctx context.Context, st strategy.Strategy) error {
	s := m.spec
	due := time.Now().Add(lead)
	if s.Resume != nil {
		due = s.Resume.Due
	}
	m.zero = due.Add(s.Warmup)
	stop := m.zero.Add(s.Duration)
	if soonest := time.Now().Add(time.Second); s.Resume != nil && s.Rate == 0 && stop.Before(soonest) {
		stop = soonest // a restored source must not end before the place where it was killed
	}
	m.start(due, stop)

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	options := []askback.Option{
		askback.WithStrategy(st), askback.WithServer(s.Server), askback.WithDir(s.Dir),
		askback.OnRecovery(m.onRecovery), askback.OnEvent(m.onEvent),
	}
	started := make(chan struct{})
	options = append(options, inject.Option(func(f *inject.Faults) {
		f.Started = append(f.Started, func(r inject.Run) {
			m.control = r
			close(started)
		})
	}).(askback.Option))
	var group sync.WaitGroup
	watched, over := context.WithCancel(ctx)
	group.Go(func() {
		select {
		case <-started:
			m.watch(watched, stop, cancel)
		case <-watched.Done():
		}
	})
	report, err := askback.Run(ctx, m.topology, options...)
	over()
	m.thaw()
	group.Wait()
	if report == nil {
		return err
	}
	m.send(message{Sample: m.sample(time.Now())})
	m.send(message{End: m.end(ctx, report, err)})
	return m.err
}

// errNotEnded: the run did not end by itself.
var errNotEnded = fmt.Errorf("not all was done %v after the sources had ended", EndTimeout)

// watch samples, does the faults that are done within the process, and gives up when the run does not end.
func (m *measurement) watch(ctx context.Context, stop time.Time, giveUp context.CancelCauseFunc) {
	first := begin{Due: m.due, Keeps: m.restores, Input: m.input}
	for _, i := range m.control.Tasks() {
		first.Tasks = append(first.Tasks, i.Alias.String())
	}
	m.send(message{Begin: &first})
	after := func(d time.Duration) <-chan time.Time { return time.After(max(0, time.Until(m.zero.Add(d)))) }
	fault := m.spec.Fault
	steadyEnd := m.spec.Duration
	if fault.Kind != "" {
		steadyEnd = fault.At - 2*sampleEvery // before a kill from outside
	}
	var began, faulty, thaw, settled <-chan time.Time
	if m.spec.Resume == nil {
		began, settled = after(0), after(steadyEnd)
		if fault.Kind != "" && !fault.outside() {
			faulty = after(fault.At)
		}
	}
	var from gauge
	settle := func() {
		if !from.at.IsZero() {
			m.send(message{Steady: m.steady(from, m.gauge())})
			from = gauge{}
		}
	}
	late := time.After(time.Until(stop) + EndTimeout)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			settle() // sooner than planned
			return
		case now := <-tick.C:
			m.send(message{Sample: m.sample(now)})
			if n%10 == 0 {
				m.memory = max(m.memory, resident())
			}
		case <-began:
			m.settled()
			from = m.gauge()
		case <-settled:
			settle()
		case <-faulty:
			m.inject(fault)
			if fault.For > 0 {
				thaw = time.After(fault.For)
			}
		case <-thaw:
			m.thaw()
		case <-late:
			giveUp(errNotEnded)
		}
	}
}

// inject does a fault.
func (m *measurement) inject(f Fault) {
	done := injected{At: m.since(time.Now())}
	if f.Kind == FreezeSink {
		m.freeze()
		done.Victims = []string{m.sink}
	} else {
		for _, alias := range f.victims(m.control.Plan(), m.spec.Seed) {
			if m.control.Kill(alias) {
				done.Victims = append(done.Victims, alias.String())
			}
		}
	}
	m.send(message{Fault: &done})
}

func (m *measurement) onRecovery(r askback.Recovery) {
	now := time.Now()
	m.send(message{Detected: &detected{At: m.since(now.Add(-r.Took))}})
	m.send(message{Recovery: &regained{
		At: m.since(now), Task: r.Alias.String(),
		Missed: r.Missed, Replayed: r.Replayed, Reprocessed: r.Reprocessed, Duplicates: r.Duplicates,
	}})
}

func (m *measurement) onEvent(e askback.Event) {
	if e.Kind == askback.Disconnected {
		m.send(message{Detected: &detected{At: m.since(time.Now())}})
	}
}

// results returns how many results have arrived.
func (m *measurement) results() (n int64) {
	if m.filters {
		for i := range m.sources {
			n += m.sources[i].n.Load()
		}
		return n
	}
	for _, a := range m.sinks {
		n += int64(a.shown.Load())
	}
	return n
}

func (m *measurement) sample(now time.Time) *Sample {
	s := &Sample{At: m.since(now), Results: m.results()}
	for _, a := range m.sinks {
		s.Sinks = append(s.Sinks, int64(a.shown.Load()))
		s.Arrived += int64(a.all.Load())
	}
	for i := range m.sources {
		s.Sources = append(s.Sources, m.sources[i].n.Load())
	}
	for _, i := range m.control.Tasks() {
		s.Work = append(s.Work, i.Counters.Consumed+i.Counters.Emitted)
		s.Restarts = append(s.Restarts, i.Restarts)
	}
	s.Timed, s.P50, s.P99, s.Most = m.latencies()
	return s
}

// A gauge is what is read at the beginning and the end of a time.
type gauge struct {
	at      time.Time
	results int64
	cpu     time.Duration
	kinds   [channel.Kinds]natschan.Traffic
	log     traffic
}

func (m *measurement) gauge() gauge {
	g := gauge{at: time.Now(), results: m.results(), cpu: cpuTime(), kinds: m.control.Traffic().Kinds}
	g.log.Messages, g.log.Bytes = m.control.Logged()
	return g
}

func (m *measurement) steady(from, to gauge) *steady {
	sent := func(k channel.Kind) traffic {
		return traffic{to.kinds[k].Sent - from.kinds[k].Sent, to.kinds[k].SentBytes - from.kinds[k].SentBytes}
	}
	return &steady{
		Seconds: to.at.Sub(from.at).Seconds(), Results: to.results - from.results, CPU: to.cpu - from.cpu, Latency: m.latency(),
		Data: sent(channel.Data), Control: sent(channel.Control), Replay: sent(channel.Replay),
		Log: traffic{to.log.Messages - from.log.Messages, to.log.Bytes - from.log.Bytes},
	}
}

// end sums up, and compares the results with those of a sequential program.
func (m *measurement) end(ctx context.Context, r *askback.Report, err error) *end {
	total := r.Totals()
	e := &end{
		Elapsed: r.Elapsed, Memory: max(m.memory, resident()),
		Missed: total.Missed, Replayed: total.Replayed, Resent: total.Resent,
	}
	switch cause := context.Cause(ctx); {
	case errors.Is(cause, errNotEnded):
		e.Unchecked = cause.Error()
	case ctx.Err() != nil:
		e.Interrupted, e.Unchecked = true, "interrupted"
	case err != nil:
		e.Err, e.Unchecked = err.Error(), "the run failed"
	default:
		verdict, err := m.check(m.spec.Resume)
		if e.Checked, e.Verdict = err == nil, verdict; err != nil {
			e.Unchecked = err.Error()
		}
	}
	return e
}
