package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Format is the version of the JSON form. It goes up when a field changes its meaning.
const Format = 1

// A Report is one comparison. Durations are in the unit that the field's name has in JSON.
type Report struct {
	Format   int       `json:"format"`
	Made     time.Time `json:"made"`
	Commit   string    `json:"commit,omitempty"` // of askback, "+" added if it was changed since
	Machine  Machine   `json:"machine"`
	Settings Settings  `json:"settings"`
	// Runs are in the order in which they were made: A B C A B C.
	Runs        []*Run `json:"runs"`
	Interrupted bool   `json:"interrupted,omitempty"`
}

// A Machine is where the runs were made.
type Machine struct {
	OS     string `json:"os"`
	Arch   string `json:"arch"`
	CPU    string `json:"cpu,omitempty"`
	Cores  int    `json:"cores"`
	Memory int64  `json:"memory_bytes,omitempty"`
	Go     string `json:"go"`
}

// Settings are what all runs have in common.
type Settings struct {
	Workload string  `json:"workload"`
	About    string  `json:"about"`
	Unit     string  `json:"unit"`      // of throughput, "words"
	RateUnit string  `json:"rate_unit"` // of Rate, "lines"
	Rate     float64 `json:"rate"`      // a second; 0: as many as possible
	Parallel int     `json:"parallel"`
	Hops     int     `json:"hops,omitempty"`
	Duration float64 `json:"duration_s"`
	Warmup   float64 `json:"warmup_s"`
	Seed     uint64  `json:"seed"`
	Repeat   int     `json:"repeat"`
	Fault    string  `json:"fault"` // "none", "task@5s"
	FaultAt  float64 `json:"fault_at_s,omitempty"`
	FaultFor float64 `json:"fault_for_s,omitempty"`
}

// A Run is one measurement.
type Run struct {
	System    string `json:"system"` // "askback", or a peer's name and version
	Name      string `json:"name"`   // of the strategy, or the peer's mode
	Guarantee string `json:"guarantee"`
	Repeat    int    `json:"repeat"`                // 1 is the first
	Error     string `json:"error,omitempty"`       // why there is less than there should be
	Cut       bool   `json:"interrupted,omitempty"` // the user ended it

	// The steady time: from the end of the warm-up until the fault, or until the sources ended.
	Seconds    float64   `json:"seconds"`
	Results    int64     `json:"results"`
	Throughput float64   `json:"throughput"`              // results a second
	CPU        float64   `json:"cpu_ns_each,omitempty"`   // processor time for each result, of the whole process
	Memory     int64     `json:"memory_bytes,omitempty"`  // the most resident at once
	Input      int64     `json:"input_bytes,omitempty"`   // the part of it from before the run began, such as a text
	Latency    *Latency  `json:"latency,omitempty"`       // nil if it was not measured
	Messages   *Messages `json:"nats_messages,omitempty"` // nil for systems without NATS

	Recovery *Recovery `json:"recovery,omitempty"` // nil without a fault
	Outcome  *Outcome  `json:"outcome,omitempty"`  // nil if the run did not end
	Series   []Point   `json:"series,omitempty"`
}

// Latency is how old results were when they arrived, from the moment when their source should have emitted them, in
// milliseconds.
type Latency struct {
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	P999 float64 `json:"p999_ms"`
	Max  float64 `json:"max_ms"`
	// Queued reports that sources emitted as fast as they could, so that this is mostly the time spent in queues.
	Queued bool `json:"queued,omitempty"`
}

// Messages counts what went to NATS in the steady time.
type Messages struct {
	Data    Traffic `json:"data"`
	Control Traffic `json:"control"`
	Replay  Traffic `json:"replay"`
	Log     Traffic `json:"log"`
}

// Traffic is a number of messages and their bytes.
type Traffic struct {
	Messages uint64 `json:"messages"`
	Bytes    uint64 `json:"bytes"`
}

// Share returns which part of all messages carried data, 0 if there were none.
func (m *Messages) Share() float64 {
	all := m.Data.Messages + m.Control.Messages + m.Replay.Messages + m.Log.Messages
	if all == 0 {
		return 0
	}
	return float64(m.Data.Messages) / float64(all)
}

// A Recovery is what happened around the fault. Times are in milliseconds since the fault was done; one that is nil
// was not reached before the run ended, or cannot be known.
type Recovery struct {
	At      float64  `json:"at_s"`              // when the fault was done
	Victims []string `json:"victims,omitempty"` // tasks killed
	// Detected is when the runtime noticed.
	Detected *float64 `json:"detected_ms,omitempty"`
	// Resumed is when the last sink task that had stopped brought results again; 0 if none had.
	Resumed *float64 `json:"resumed_ms,omitempty"`
	// Regained is when results came at nine tenths of their rate before the fault again, over a tenth of a second;
	// 0 if they never came slower.
	Regained *float64 `json:"regained_ms,omitempty"`
	// Cleared is when results were no older than before the fault again: the backlog was gone.
	Cleared *float64 `json:"cleared_ms,omitempty"`
	// Worst is the oldest result after the fault.
	Worst float64 `json:"worst_ms"`

	Missed      uint64 `json:"missed"`      // tuples that restored tasks asked for
	Replayed    uint64 `json:"replayed"`    // tuples sent again for them
	Reprocessed uint64 `json:"reprocessed"` // tuples consumed again by restored tasks
	Resent      uint64 `json:"resent"`      // tuples sent again in all
	// Disturbed are tasks that were not killed, but stopped for a tenth of a second or longer, or restarted.
	Disturbed int `json:"disturbed"`
	Tasks     int `json:"tasks"`
}

// An Outcome compares a run's results with those of a plain sequential program.
type Outcome struct {
	Expected   int64  `json:"expected"`
	Lost       int64  `json:"lost"`
	Duplicated int64  `json:"duplicated"`
	Checked    bool   `json:"checked"`
	Why        string `json:"unchecked,omitempty"` // it was not checked
}

// A Point is how a run stood over a twentieth of a second.
type Point struct {
	At   float64 `json:"t"`             // s since the measurement began; the warm-up is below 0
	Rate float64 `json:"rate"`          // results a second
	P50  float64 `json:"p50,omitempty"` // latency, ms; 0 if no result was timed
	P99  float64 `json:"p99,omitempty"`
}

// Decode reads what Encode has written.
func Decode(r io.Reader) (*Report, error) {
	rep := new(Report)
	if err := json.NewDecoder(r).Decode(rep); err != nil {
		return nil, fmt.Errorf("report: not a report of askback bench: %w", err)
	}
	if rep.Format != Format {
		return nil, fmt.Errorf("report: its format is %d, and this program reads %d: make it anew", rep.Format, Format)
	}
	return rep, nil
}

// Encode writes the report as JSON.
func (r *Report) Encode(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// A Summary is the median of all runs of one strategy, figure by figure: a disturbed run does not spoil it.
type Summary struct {
	*Run     // the run with the median throughput, for all that is no figure
	Runs int // that ended
	Errs int
	Low  float64 // throughput of the slowest run
	High float64 // and of the fastest
}

// Key identifies system and strategy.
func (r *Run) Key() string {
	if r.Ours() {
		return r.Name
	}
	return r.System + " " + r.Name
}

// Ours reports whether a run is not one of a peer.
func (r *Run) Ours() bool { return r.System == "askback" }

// Summaries returns a summary for each strategy, in the order of their first runs.
func (r *Report) Summaries() (all []*Summary) {
	for _, run := range r.Runs {
		if slices.ContainsFunc(all, func(s *Summary) bool { return s.Key() == run.Key() }) {
			continue
		}
		var runs, bad []*Run
		for _, other := range r.Runs {
			switch {
			case other.Key() != run.Key():
			case other.Throughput > 0:
				runs = append(runs, other)
			default:
				bad = append(bad, other)
			}
		}
		s := &Summary{Runs: len(runs), Errs: len(bad)}
		if len(runs) == 0 {
			s.Run = bad[0]
		} else {
			s.Run, s.Low, s.High = middle(runs)
		}
		all = append(all, s)
	}
	return all
}

// middle returns a run with the median of each figure.
func middle(runs []*Run) (run *Run, low, high float64) {
	by := slices.Clone(runs)
	slices.SortFunc(by, func(a, b *Run) int { return cmp.Compare(a.Throughput, b.Throughput) })
	m := *by[len(by)/2]
	low, high = by[0].Throughput, by[len(by)-1].Throughput
	m.Throughput = median(runs, func(r *Run) *float64 { return &r.Throughput })
	m.CPU = median(runs, func(r *Run) *float64 { return &r.CPU })
	if m.Latency != nil {
		l := *m.Latency
		of := func(f func(*Latency) *float64) float64 {
			return median(runs, func(r *Run) *float64 {
				if r.Latency == nil {
					return nil
				}
				return f(r.Latency)
			})
		}
		l.P50, l.P99 = of(func(l *Latency) *float64 { return &l.P50 }), of(func(l *Latency) *float64 { return &l.P99 })
		l.P999, l.Max = of(func(l *Latency) *float64 { return &l.P999 }), of(func(l *Latency) *float64 { return &l.Max })
		m.Latency = &l
	}
	if m.Recovery != nil {
		rec := *m.Recovery
		of := func(f func(*Recovery) *float64) *float64 {
			v := median(runs, func(r *Run) *float64 {
				if r.Recovery == nil || f(r.Recovery) == nil {
					return &never // that is later than all
				}
				return f(r.Recovery)
			})
			if v == never {
				return nil
			}
			return &v
		}
		rec.Detected, rec.Resumed = of(func(r *Recovery) *float64 { return r.Detected }), of(func(r *Recovery) *float64 { return r.Resumed })
		rec.Regained, rec.Cleared = of(func(r *Recovery) *float64 { return r.Regained }), of(func(r *Recovery) *float64 { return r.Cleared })
		rec.Worst = *of(func(r *Recovery) *float64 { return &r.Worst })
		m.Recovery = &rec
	}
	if m.Outcome != nil { // what went wrong in any run went wrong
		o := *m.Outcome
		for _, r := range runs {
			if r.Outcome != nil {
				o.Lost, o.Duplicated = max(o.Lost, r.Outcome.Lost), max(o.Duplicated, r.Outcome.Duplicated)
			}
		}
		m.Outcome = &o
	}
	return &m, low, high
}

// never is when something came that did not come.
var never = 1e300

// median returns the upper median of a figure over the runs that have it, 0 if none has.
func median(runs []*Run, of func(*Run) *float64) float64 {
	var all []float64
	for _, r := range runs {
		if v := of(r); v != nil {
			all = append(all, *v)
		}
	}
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[len(all)/2]
}
