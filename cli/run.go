package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
)

// errInterrupted is why a run ended that the user ended.
var errInterrupted = errors.New("interrupted")

// run runs the topology here.
func (p *Program) run(ctx context.Context, l *line, out, complaints io.Writer) error {
	if l.seed == 0 {
		l.seed = uint64(time.Now().UnixNano())
	}
	t, options, err := p.build(l)
	if err != nil {
		return err
	}
	s := &story{out: out, err: complaints}
	if l.json {
		s.out = complaints
	}
	all := []askback.Option{askback.OnProgress(s.progress), askback.OnRecovery(s.recovery), askback.OnEvent(s.event)}
	report, err := askback.Run(ctx, t, append(append(all, options...), l.options()...)...)
	s.wipe()
	interrupted := err != nil && ctx.Err() != nil && errors.Is(err, context.Canceled)
	if err == nil && p.Done != nil {
		err = p.Done(report)
	}
	if report != nil && l.json {
		err = errors.Join(err, json.NewEncoder(out).Encode(resultOf(t.Name(), report, l.seed, err)))
	}
	switch {
	case interrupted && stuckIn(err) != nil:
		return fmt.Errorf("%w; %w", errInterrupted, stuckIn(err))
	case interrupted && (l.dir != "" || l.keep):
		return fmt.Errorf("%w; run the same command again to go on from here", errInterrupted)
	case interrupted:
		return errInterrupted
	case err != nil:
		if tuple := (*bolt.TupleError)(nil); errors.As(err, &tuple) && (l.dir != "" || l.keep) {
			err = fmt.Errorf("%w\nnothing is lost: repair the program and run the same command again, which goes on at that tuple", err)
		}
		return err
	}
	s.summary(t.Name(), report)
	return nil
}

// stuckIn returns the error that names the operators which have not returned when the run was interrupted; nil if all have.
func stuckIn(err error) error {
	if stuck := (*askback.StuckError)(nil); errors.As(err, &stuck) {
		return stuck
	}
	return nil
}

// A result is what --json prints.
type result struct {
	Topology   string           `json:"topology"`
	Plan       string           `json:"plan"` // version, hexadecimal
	Strategy   string           `json:"strategy"`
	Seconds    float64          `json:"seconds"`
	Resumed    bool             `json:"resumed"`
	Kills      int              `json:"kills"`
	Seed       uint64           `json:"seed"`
	Recoveries int              `json:"recoveries"`
	Operators  []operatorResult `json:"operators"`
	Error      string           `json:"error,omitempty"`
	LostOnWay  uint64           `json:"lost_messages"` // sent again, unless the strategy promises less
	Reconnects uint64           `json:"reconnects"`
	counts
}

// counts are the figures of one operator, or of all.
type counts struct {
	Consumed uint64 `json:"consumed"`
	Emitted  uint64 `json:"emitted"`
	Missed   uint64 `json:"missed"`
	Replayed uint64 `json:"replayed"`
	Lost     uint64 `json:"lost"`
	Retries  uint64 `json:"retries"`
	Dead     uint64 `json:"dead"`
	Dropped  uint64 `json:"dropped"`
}

type operatorResult struct {
	Operator string   `json:"operator"`
	Tasks    []string `json:"tasks"`
	counts
}

func countsOf(c askback.Counts) counts {
	return counts{
		Consumed: c.Consumed, Emitted: c.Emitted, Missed: c.Missed, Replayed: c.Replayed,
		Lost: c.Lost, Retries: c.Retries, Dead: c.Dead, Dropped: c.Dropped,
	}
}

func resultOf(name string, r *askback.Report, seed uint64, err error) result {
	res := result{
		Topology: name, Plan: fmt.Sprintf("%016x", r.Plan.Version), Strategy: r.Strategy.String(), Seconds: r.Elapsed.Seconds(),
		Resumed: r.Resumed, Kills: r.Kills, Seed: seed, Recoveries: len(r.Recoveries),
		LostOnWay: r.LostMessages, Reconnects: r.Reconnects, counts: countsOf(r.Totals()),
	}
	if err != nil {
		res.Error = err.Error()
	}
	for _, o := range r.Operators() {
		one := operatorResult{Operator: o.Operator, counts: countsOf(o.Counts)}
		for _, t := range r.Tasks {
			if t.Alias.Operator == o.Operator {
				one.Tasks = append(one.Tasks, t.Alias.String())
			}
		}
		res.Operators = append(res.Operators, one)
	}
	return res
}

// A story is what a run prints: a line for each event, and its progress on a terminal.
type story struct {
	mu       sync.Mutex
	out, err io.Writer
	shown    bool // a progress line, which the next line wipes

	// Only the goroutine that reports progress uses these.
	told        bool          // that the run was resumed
	moved       uint64        // tuples consumed and emitted
	still, next time.Duration // since when that is so, and when to tell the reason; of Progress.Elapsed
}

func (s *story) line(what, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	fmt.Fprintf(s.out, "%-9s %s\n", what, fmt.Sprintf(format, args...))
}

func (s *story) wipe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
}

// erase removes the progress line. The caller holds mu.
func (s *story) erase() {
	if s.shown {
		s.shown = false
		fmt.Fprint(s.err, "\r\x1b[K")
	}
}

func (s *story) progress(p askback.Progress) {
	s.resumed(p)
	s.waiting(p)
	if f, ok := s.err.(*os.File); !ok || !term.IsTerminal(int(f.Fd())) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	s.shown = true
	if p.Total > 0 {
		fmt.Fprintf(s.err, "%3d %%  %.0f s", p.Done*100/p.Total, p.Elapsed.Seconds())
	} else {
		fmt.Fprintf(s.err, "running  %.0f s", p.Elapsed.Seconds())
	}
}

func (s *story) recovery(r askback.Recovery) {
	cause, _, _ := strings.Cut(fmt.Sprint(r.Cause), "\n") // without the stack of a panic
	asked := cmp.Or(r.Asked.String(), "for nothing")
	s.line("restored", "%v (incarnation %d) in %d ms · %s · asked %s · missed %d, replayed %d · reprocessed %d",
		r.Alias, r.Incarnation, r.Took.Milliseconds(), cause, asked, r.Missed, r.Replayed, r.Reprocessed)
}

// resumed prints once that the run goes on from an earlier run's log.
func (s *story) resumed(p askback.Progress) {
	if !s.told && slices.ContainsFunc(p.Tasks, func(t askback.TaskInfo) bool { return t.Resumed }) {
		s.told = true
		s.line("resumed", "from the log of an earlier run, at %d of %d", p.Resumed, p.Total)
	}
}

// silence is how long nothing may move before the story tells the reason, and silenceAgain before it does so again.
const (
	silence      = 5 * time.Second
	silenceAgain = time.Minute
)

// waiting prints the reason when no task has consumed or emitted anything for a while.
func (s *story) waiting(p askback.Progress) {
	var moved uint64
	for _, t := range p.Tasks {
		moved += t.Counts.Consumed + t.Counts.Emitted
	}
	if moved != s.moved || s.still == 0 {
		s.moved, s.still, s.next = moved, p.Elapsed, p.Elapsed+silence
		return
	}
	if reason := reasonOf(p.Tasks); reason != "" && p.Elapsed >= s.next {
		s.next = p.Elapsed + silenceAgain
		s.line("waiting", "%s · nothing has moved for %.0f s", reason, (p.Elapsed - s.still).Seconds())
	}
}

// reasonOf returns why the tasks do not move; "" if nothing keeps them, such as when there is no input.
func reasonOf(tasks []askback.TaskInfo) string {
	for _, t := range tasks {
		if t.LogError != nil {
			return fmt.Sprintf("%v cannot write its log: %v", t.Alias, t.LogError)
		}
	}
	for _, t := range tasks {
		if t.Err != nil && (t.State == askback.Restarting || t.State == askback.Restoring) {
			text, _, _ := strings.Cut(t.Err.Error(), "\n") // without the stack of a panic
			return fmt.Sprintf("%v is restarted again and again: %s", t.Alias, text)
		}
	}
	for _, t := range tasks {
		if t.Blocked != "" {
			return fmt.Sprintf("%v has no credit on %s, whose target consumes nothing", t.Alias, t.Blocked)
		}
	}
	for _, t := range tasks {
		if t.Starved != "" {
			return fmt.Sprintf("%v waits for tuples on %s", t.Alias, t.Starved)
		}
	}
	return ""
}

func (s *story) event(e askback.Event) { s.line("transport", "%v", e) }

// summary prints how the run went, and last the tuples that it lost.
func (s *story) summary(name string, r *askback.Report) {
	total := r.Totals()
	s.line("complete", "%s in %.2f s · %d tasks killed, %d recoveries · missed %d, replayed %d",
		name, r.Elapsed.Seconds(), r.Kills, len(r.Recoveries), total.Missed, total.Replayed)
	if text := losses(r); text != "" {
		what := "LOST"
		if total.Lost+total.Dropped == 0 {
			what = "dead"
		}
		s.line(what, "%s", text)
	}
}

// losses describes the tuples that a run lost, by operator; "" if it lost none.
func losses(r *askback.Report) string {
	var all []string
	for _, kind := range []struct {
		text string
		of   func(askback.Counts) uint64
	}{
		{"dropped by the operator", func(c askback.Counts) uint64 { return c.Dropped }},
		{"sent to dead letters", func(c askback.Counts) uint64 { return c.Dead }},
		{fmt.Sprintf("given up by the strategy %v", r.Strategy), func(c askback.Counts) uint64 { return c.Lost }},
	} {
		total := kind.of(r.Totals())
		if total == 0 {
			continue
		}
		var where []string
		for _, o := range r.Operators() {
			if n := kind.of(o.Counts); n > 0 {
				where = append(where, fmt.Sprintf("%s %d", o.Operator, n))
			}
		}
		tuples := "tuples"
		if total == 1 {
			tuples = "tuple"
		}
		all = append(all, fmt.Sprintf("%d %s %s (%s)", total, tuples, kind.text, strings.Join(where, ", ")))
	}
	return strings.Join(all, " · ")
}
