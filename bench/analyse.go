package bench

import (
	"slices"
	"sort"

	"github.com/askback/askback/internal/report"
)

// A record is all messages of one measurement, of one process, or of two if the first was killed.
type record struct {
	begin    *begin
	samples  []*Sample
	killed   *Sample // the last one of a process that was killed
	steady   *steady
	fault    *injected // nil if it was not done
	detected []int64
	regained []regained
	end      *end
}

// add takes a message of a process.
func (r *record) add(m *message) {
	switch {
	case m.Begin != nil:
		r.begin = m.Begin
	case m.Sample != nil:
		s := r.following(m.Sample)
		if last := r.last(); r.killed != nil && last == r.killed { // no sample came between the two processes
			still := *last
			still.At, still.Timed, still.P99 = max(last.At, s.At-sampleEvery.Microseconds()), 0, 0
			r.samples = append(r.samples, &still)
		}
		r.samples = append(r.samples, s)
	case m.Steady != nil:
		r.steady = m.Steady
	case m.Fault != nil:
		r.fault = m.Fault
	case m.Detected != nil:
		r.detected = append(r.detected, m.Detected.At)
	case m.Recovery != nil:
		r.regained = append(r.regained, *m.Recovery)
	case m.End != nil:
		r.end = m.End
	}
}

func (r *record) last() *Sample {
	if len(r.samples) == 0 {
		return nil
	}
	return r.samples[len(r.samples)-1]
}

// following makes a sample of a second process go on from the first's: a strategy that restores its tasks shows the
// first's results again, any other begins with none.
func (r *record) following(s *Sample) *Sample {
	if r.killed == nil {
		return s
	}
	was, last := r.killed, r.last()
	carry := func(now *int64, was, last int64) {
		if !r.begin.Keeps {
			*now += was
		}
		*now = max(*now, last)
	}
	carry(&s.Results, was.Results, last.Results)
	for i := range s.Sinks {
		carry(&s.Sinks[i], was.Sinks[i], last.Sinks[i])
	}
	for i := range s.Restarts {
		s.Restarts[i] += was.Restarts[i] + 1
	}
	return s
}

// All that follows is in µs since the measurement began.
const (
	rateOver    = 100_000   // a rate is taken over so long
	soon        = 1_500_000 // results that get slower or older later than that do not do so for the fault
	atOnce      = 300_000   // and what stops later than that does not stop for it
	pointEvery  = 50_000
	noticeable  = 30_000 // a shorter pause is none
	disturbance = 100_000
	blind       = 200_000 // samples further apart: no process was there to take them
)

// resultsAt returns how many results had arrived at a moment.
func (r *record) resultsAt(t int64) float64 {
	i := sort.Search(len(r.samples), func(i int) bool { return r.samples[i].At > t })
	switch {
	case i == 0:
		return 0
	case i == len(r.samples) || r.samples[i].At-r.samples[i-1].At > blind:
		return float64(r.samples[i-1].Results)
	}
	a, b := r.samples[i-1], r.samples[i]
	return float64(a.Results) + float64(b.Results-a.Results)*float64(t-a.At)/float64(b.At-a.At)
}

// rate returns results a second between two moments.
func (r *record) rate(from, to int64) float64 {
	return (r.resultsAt(to) - r.resultsAt(from)) * 1e6 / float64(to-from)
}

// between returns the samples of a time.
func (r *record) between(from, to int64) []*Sample {
	i := sort.Search(len(r.samples), func(i int) bool { return r.samples[i].At >= from })
	k := sort.Search(len(r.samples), func(i int) bool { return r.samples[i].At >= to })
	return r.samples[i:max(i, k)]
}

// series returns a point for each twentieth of a second.
func (r *record) series(until int64) (points []report.Point) {
	if len(r.samples) == 0 {
		return nil
	}
	from := r.samples[0].At / pointEvery * pointEvery
	for t := from; t < min(until, r.last().At); t += pointEvery {
		p := report.Point{At: float64(t+pointEvery/2) / 1e6, Rate: max(0, r.rate(t, t+pointEvery))}
		var timed int64
		for _, s := range r.between(t, t+pointEvery) {
			if s.Timed > timed {
				timed, p.P50 = s.Timed, float64(s.P50)/1000
			}
			p.P99 = max(p.P99, float64(s.P99)/1000)
		}
		points = append(points, p)
	}
	return points
}

// run sums a record up.
func (r *record) run(s *Spec) *report.Run {
	run := &report.Run{System: "askback", Name: s.Strategy}
	if st, err := s.contender(); err == nil {
		run.Guarantee = st.Guarantee().String()
	}
	until := s.Duration.Microseconds()
	if st := r.steady; st != nil && st.Seconds > 0 {
		run.Seconds, run.Results, run.Throughput = st.Seconds, st.Results, float64(st.Results)/st.Seconds
		if st.Results > 0 {
			run.CPU = float64(st.CPU) / float64(st.Results)
		}
		if l := st.Latency; l.Timed > 0 {
			run.Latency = &report.Latency{P50: ms(l.P50), P99: ms(l.P99), P999: ms(l.P999), Max: ms(l.Most), Queued: s.Rate == 0}
		}
		run.Messages = &report.Messages{
			Data: report.Traffic(st.Data), Control: report.Traffic(st.Control), Replay: report.Traffic(st.Replay), Log: report.Traffic(st.Log),
		}
	}
	if r.begin != nil {
		run.Input = r.begin.Input
	}
	if e := r.end; e != nil {
		run.Memory, run.Cut, run.Error = e.Memory, e.Interrupted, e.Err
		run.Outcome = &report.Outcome{
			Expected: e.Verdict.Expected, Lost: e.Verdict.Lost, Duplicated: e.Verdict.Duplicated, Checked: e.Checked, Why: e.Unchecked,
		}
	}
	if r.fault != nil {
		run.Recovery = r.recovery(s, until)
	}
	run.Series = r.series(until)
	return run
}

func ms(us int64) float64 { return float64(us) / 1000 }

// recovery returns the figures around the fault.
func (r *record) recovery(s *Spec, until int64) *report.Recovery {
	at := r.fault.At
	rec := &report.Recovery{At: float64(at) / 1e6, Victims: r.fault.Victims, Tasks: len(r.begin.Tasks)}
	for _, t := range r.detected {
		if t >= at-1000 { // clocks are read one after another
			rec.Detected = since(max(t, at), at)
			break
		}
	}
	from := at // a frozen sink is over when it takes tuples again
	if s.Fault.Kind == FreezeSink {
		from += s.Fault.For.Microseconds()
	}
	rec.Resumed = r.resumed(at, from, until)
	rec.Regained = r.backToRate(at, from, until)
	rec.Cleared = r.cleared(at, from, until)
	for _, s := range r.between(at, until) {
		rec.Worst = max(rec.Worst, ms(s.Most))
	}
	for _, g := range r.regained {
		rec.Missed += g.Missed
		rec.Replayed += g.Replayed
		if r.begin.Keeps { // else nothing of what was done was there to be done again
			rec.Reprocessed += g.Reprocessed
		}
	}
	if e := r.end; e != nil {
		rec.Resent = e.Resent
		if r.killed != nil { // a process that resumes reports no single recoveries
			rec.Missed, rec.Replayed = e.Missed, e.Replayed
		}
	}
	rec.Disturbed = r.disturbed(at, until)
	return rec
}

func since(t, from int64) *float64 {
	v := max(0, ms(t-from))
	return &v
}

// pause finds the longest time without a change of a figure that begins in a time. It is over at end, which is
// until if it did not end.
func (r *record) pause(from, to, until int64, figure func(*Sample) int64) (begin, end int64) {
	samples := r.between(from, until)
	for i := 0; i < len(samples); {
		k := i + 1
		for k < len(samples) && figure(samples[k]) == figure(samples[i]) {
			k++
		}
		stop := until
		if k < len(samples) {
			stop = samples[k].At
		}
		if samples[i].At <= to && stop-samples[i].At > end-begin {
			begin, end = samples[i].At, stop
		}
		i = k
	}
	return begin, end
}

// stop is pause for what the fault has done: a pause that is longer than those before.
func (r *record) stop(at, until, least int64, figure func(*Sample) int64) (end int64, stopped bool) {
	b, e := r.pause(0, at-noticeable, at, figure)
	usual := e - b
	// Sources that come to their end do not stop for the fault.
	b, e = r.pause(at-2*sampleEvery.Microseconds(), min(at+atOnce, until-noticeable), r.last().At, figure)
	return e, e-b > max(least, usual*3/2)
}

// resumed returns when the last sink that had stopped went on.
func (r *record) resumed(at, from, until int64) *float64 {
	last := from
	for i := range r.last().Sinks {
		if end, stopped := r.stop(at, until, noticeable, func(s *Sample) int64 { return s.Sinks[i] }); stopped {
			last = max(last, end)
		}
	}
	if last >= r.last().At {
		return nil
	}
	return since(last, from)
}

// backToRate returns when results came at their rate again, and stayed there for half a second.
func (r *record) backToRate(at, from, until int64) *float64 {
	var before []float64
	for t := int64(rateOver); t <= at; t += rateOver / 4 {
		before = append(before, r.rate(t-rateOver, t))
	}
	if len(before) == 0 {
		return nil
	}
	slices.Sort(before)
	enough := min(0.9*before[len(before)/2], before[len(before)/20])
	const step = rateOver / 10
	slow := at
	for slow += step; r.rate(slow-rateOver, slow) >= enough; slow += step {
		if slow > min(from+soon, until-step) {
			return since(from, from)
		}
	}
	for t := max(slow, from) + step; t < until; t += step {
		if r.rate(t-rateOver, t) >= enough && r.rate(t, min(until, t+5*rateOver)+step) >= enough {
			return since(t, from)
		}
	}
	return nil
}

// cleared returns when results were no older than before.
func (r *record) cleared(at, from, until int64) *float64 {
	if r.steady == nil || r.steady.Latency.Timed == 0 {
		return nil
	}
	fresh := max(r.steady.Latency.P99*3/2, r.steady.Latency.P99+2000)
	// stale reports whether more than a tenth of the results of a time were too old, or there were none at all.
	stale := func(from, to int64) bool {
		timed, old := 0, 0
		for _, s := range r.between(from, to) {
			if s.Timed > 0 {
				timed++
				if s.P99 > fresh {
					old++
				}
			}
		}
		return timed == 0 || old*10 > timed
	}
	const step = rateOver / 10
	t := at
	for ; !stale(t, t+rateOver); t += step {
		if t > min(from+soon, until-2*rateOver) {
			return since(from, from)
		}
	}
	for t = max(t, from); t+2*rateOver <= until; t += step {
		if !stale(t, t+2*rateOver) {
			return since(t, from)
		}
	}
	return nil
}

// disturbed counts the tasks that were not killed and yet restarted, or stood still.
func (r *record) disturbed(at, until int64) (n int) {
	before := r.between(0, at)
	if len(before) == 0 {
		return 0
	}
	was, is := before[len(before)-1], r.last()
	for i, name := range r.begin.Tasks {
		if slices.Contains(r.fault.Victims, name) {
			continue
		}
		_, stopped := r.stop(at, until, disturbance, func(s *Sample) int64 { return int64(s.Work[i]) })
		if stopped || is.Restarts[i] > was.Restarts[i] {
			n++
		}
	}
	return n
}
