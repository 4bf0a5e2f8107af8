package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/askback/askback/internal/report"
)

// A Comparison measures strategies in turn, A B C A B C, so that other load of the machine hits them all alike.
type Comparison struct {
	Spec       Spec // of every measurement; its Strategy is filled in
	Strategies []string
	Repeat     int
	// Measurer and Server are the command lines of processes that call Measured and ServeNATS: each measurement has
	// a process of its own, which can be killed, and whose memory and processor time are only its own.
	Measurer, Server []string
	// Others measure what is not ours, after each round of strategies.
	Others []func(ctx context.Context, repeat int) *report.Run
	// OnStart is called before each measurement, OnSample now and then during it, OnRun with its result.
	// They must not be nil.
	OnStart  func(name string, repeat int)
	OnSample func(at time.Duration, rate float64)
	OnRun    func(*report.Run)
}

// Check finds what cannot be measured. Run does so too.
func (c *Comparison) Check() error {
	for _, name := range c.Strategies {
		s := c.Spec
		s.Strategy = name
		if err := s.Check(); err != nil {
			return err
		}
	}
	return nil
}

// Run makes the comparison. When ctx ends, the report holds what was measured until then.
func (c *Comparison) Run(ctx context.Context) (*report.Report, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	w, err := WorkloadNamed(c.Spec.Workload)
	if err != nil {
		return nil, err
	}
	s := &c.Spec
	rep := &report.Report{
		Format: report.Format, Made: time.Now().Round(time.Second), Commit: commit(), Machine: machine(),
		Settings: report.Settings{
			Workload: w.Name, About: w.About, Unit: w.Unit, RateUnit: w.RateUnit(), Rate: s.Rate, Parallel: s.Parallel,
			Duration: s.Duration.Seconds(), Warmup: s.Warmup.Seconds(), Seed: s.Seed, Repeat: c.Repeat,
			Fault: s.Fault.String(), FaultAt: s.Fault.At.Seconds(), FaultFor: s.Fault.For.Seconds(),
		},
	}
	if w.Name == "hops" {
		rep.Settings.Hops = s.Hops
	}
	for repeat := 1; repeat <= c.Repeat; repeat++ {
		for _, name := range c.Strategies {
			s := c.Spec
			s.Strategy = name
			s.Seed += uint64(repeat - 1) // another task is killed, the same of each strategy
			c.OnStart(name, repeat)
			run := c.measure(ctx, &s)
			run.Repeat = repeat
			rep.Runs = append(rep.Runs, run)
			c.OnRun(run)
			if ctx.Err() != nil {
				rep.Interrupted = true
				return rep, nil
			}
		}
		for _, other := range c.Others {
			run := other(ctx, repeat)
			rep.Runs = append(rep.Runs, run)
			c.OnRun(run)
			if ctx.Err() != nil {
				rep.Interrupted = true
				return rep, nil
			}
		}
	}
	return rep, nil
}

// measure makes one measurement. Errors are in the run.
func (c *Comparison) measure(ctx context.Context, s *Spec) *report.Run {
	r := new(record)
	err := c.record(ctx, s, r)
	run := r.run(s)
	switch {
	case err != nil && run.Error == "":
		run.Error = err.Error()
	case run.Error == "" && !run.Cut && r.steady == nil:
		run.Error = "the run ended before there was anything to measure"
	}
	run.Cut = run.Cut || ctx.Err() != nil
	return run
}

// record starts the processes of one measurement, and does the faults that come from outside.
func (c *Comparison) record(ctx context.Context, s *Spec, r *record) (err error) {
	dir, err := os.MkdirTemp("", "askback-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var server *process
	s.Dir = filepath.Join(dir, "store") // so that nothing is left behind, however the process ends
	if s.Fault.Kind == KillNATS {
		s.Dir = ""
		if server, s.Server, err = c.serve(filepath.Join(dir, "nats"), "127.0.0.1:0"); err != nil {
			return err
		}
		defer func() { server.stop() }()
	}
	p, err := c.start(s)
	if err != nil {
		return err
	}
	defer func() { p.stop() }()

	var kill, thaw <-chan time.Time
	cancelled := ctx.Done()
	told := time.Now()
	for {
		select {
		case m, ok := <-p.messages:
			if !ok {
				return p.ended(r.end != nil)
			}
			r.add(&m)
			switch {
			case m.Begin != nil && s.Fault.outside() && r.fault == nil:
				kill = time.After(time.Until(m.Begin.Due.Add(s.Warmup + s.Fault.At)))
			case m.Sample != nil && time.Since(told) > 200*time.Millisecond:
				told = time.Now()
				c.OnSample(time.Duration(m.Sample.At)*time.Microsecond, r.rate(m.Sample.At-rateOver, m.Sample.At))
			}
		case <-kill:
			kill = nil
			zero := r.begin.Due.Add(s.Warmup)
			r.fault = &injected{At: time.Since(zero).Microseconds(), Victims: []string{s.Fault.Kind}}
			if s.Fault.Kind == KillNATS {
				server.kill()
				if server, _, err = c.serve(filepath.Join(dir, "nats"), strings.TrimPrefix(s.Server, "nats://")); err != nil {
					return err
				}
				continue
			}
			p.kill()
			for m := range p.messages { // its messages from before
				r.add(&m)
			}
			r.detected = append(r.detected, time.Since(zero).Microseconds())
			again := *s
			again.Resume = r.resume(s)
			if p, err = c.start(&again); err != nil {
				return err
			}
		case <-cancelled:
			cancelled = nil
			p.interrupt()
			thaw = time.After(5 * time.Second)
		case <-thaw:
			return errors.New("interrupted, and did not end within 5s")
		}
	}
}

// resume returns what the process that follows a killed one must know.
func (r *record) resume(s *Spec) *Resume {
	next := &Resume{Due: r.begin.Due}
	last := r.last()
	if r.killed = last; last == nil {
		return next
	}
	if st, err := s.contender(); err == nil && st.Log == nil {
		next.From = last.Sources
	}
	if !r.begin.Keeps {
		next.Arrived, next.Distinct = last.Arrived, 0
		for _, n := range last.Sinks {
			next.Distinct += n
		}
	}
	return next
}

func machine() report.Machine {
	m := report.Machine{OS: runtime.GOOS, Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version()}
	m.CPU = field("/proc/cpuinfo", "model name")
	var kb int64
	if _, err := fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kb); err == nil {
		m.Memory = kb << 10
	}
	return m
}

// field returns the value of the first line "name: value" of a file, "" if there is none.
func field(path, name string) string {
	data, _ := os.ReadFile(path)
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// commit returns the commit that the program was built from.
func commit() (c string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			c = s.Value[:min(10, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			c += "+"
		}
	}
	return c
}
