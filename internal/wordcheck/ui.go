package wordcheck

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/askback/askback"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/topology"
)

// A ui shows the run: a progress bar on the terminal, and a line for each event. With -json the story goes
// to standard error, so that standard output holds nothing but the line of JSON.
type ui struct {
	mu      sync.Mutex
	out     io.Writer
	bar     *progressbar.ProgressBar // nil unless standard error is a terminal
	resumed bool
	began   time.Time
}

func newUI(s *settings, plan *topology.Plan, files int, bytes int64) *ui {
	u := &ui{out: os.Stdout, began: time.Now()}
	if s.json {
		u.out = os.Stderr
	}
	where := "embedded NATS"
	if s.server != "" {
		where = "NATS at " + s.server
	}
	u.line("askback", "%s · %s: %d operators, %d tasks, %d channels · %s", where, plan.Name, len(plan.Operators), len(plan.Tasks), len(plan.Channels), s.strategy)
	u.line("reading", "%s files, %s MB", grouped(files), grouped(bytes/1e6))
	if term.IsTerminal(int(os.Stderr.Fd())) {
		u.bar = progressbar.NewOptions64(max(bytes, 1),
			progressbar.OptionSetWriter(os.Stderr), progressbar.OptionSetWidth(32), progressbar.OptionShowBytes(true),
			progressbar.OptionThrottle(50*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetDescription("counting "))
	}
	return u
}

// line prints one line of the story.
func (u *ui) line(what, format string, args ...any) {
	if u.bar != nil {
		_ = u.bar.Clear()
	}
	fmt.Fprintf(u.out, "%-9s %s\n", what, fmt.Sprintf(format, args...))
}

func (u *ui) progress(p askback.Progress) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !u.resumed && p.Total > 0 && slices.ContainsFunc(p.Tasks, func(t askback.TaskInfo) bool { return t.Total > 0 && t.Resumed }) {
		u.resumed = true
		u.line("resumed", "%d %% were read by an earlier run (%s of %s MB); going on from there", p.Resumed*100/p.Total, grouped(p.Resumed/1e6), grouped(p.Total/1e6))
	}
	if u.bar == nil {
		return
	}
	for i := range p.Tasks {
		if t := &p.Tasks[i]; t.LogError != nil {
			u.bar.Describe("the log is full: " + t.LogError.Error())
		}
	}
	_ = u.bar.Set64(min(p.Done, u.bar.GetMax64()))
}

func (u *ui) recovery(r askback.Recovery) {
	u.mu.Lock()
	defer u.mu.Unlock()
	asked := "asked for nothing"
	if !r.Asked.Empty() {
		asked = "asked " + r.Asked.String()
	}
	sign := "="
	if r.Missed != r.Replayed {
		sign = "≠"
	}
	what := "killed"
	if r.RolledBack {
		what = "back"
	}
	u.line(what, "%v (%s incarnation) · restored in %d ms, caught up in %d ms · %s · missed %s %s replayed %s · reprocessed %s",
		r.Alias, ordinal(int(r.Incarnation)), (r.Start + r.Load).Milliseconds(), r.Took.Milliseconds(), asked,
		grouped(r.Missed), sign, grouped(r.Replayed), grouped(r.Reprocessed))
}

func (u *ui) event(e askback.Event) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.line("transport", "%v", e)
}

func (u *ui) finish() {
	if u.bar != nil {
		_ = u.bar.Finish()
	}
}

// result prints the most frequent words and the verdict.
func (u *ui) result(o *Outcome, r *askback.Report, counts map[string]int64) {
	var top strings.Builder
	for i, w := range mostFrequent(counts, 20) {
		if i%5 == 0 && i > 0 {
			top.WriteString("\n          ")
		}
		fmt.Fprintf(&top, "%-14s %9s   ", short(w.word), grouped(w.n))
	}
	u.line("top 20", "%s", strings.TrimRight(top.String(), " "))
	u.line("counted", "%s words in %.2f s · %.1f M words/s", grouped(o.Words), o.Seconds, o.WordsPerSecond/1e6)
	story := fmt.Sprintf("%s words, %s distinct · %d kills, %d recoveries", grouped(o.Words), grouped(o.Distinct), o.Kills, o.Recoveries)
	switch {
	case o.Lost == nil:
		u.line("unchecked", "%s", story)
	case o.wrong():
		u.line("WRONG", "%s · lost %s · duplicated %s", story, grouped(*o.Lost), grouped(*o.Duplicated))
	default:
		verdict := "right" // this time: the strategy promises less
		if o.Strategy.Guarantee() == strategy.ExactlyOnce {
			verdict = "exactly once"
		}
		u.line(verdict, "%s · lost 0 · duplicated 0", story)
	}
}
