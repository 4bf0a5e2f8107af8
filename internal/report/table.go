package report

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// WriteTable prints the summaries for a terminal: the cost of each strategy, its recovery from the fault, and the
// project's own claims that do not hold.
func (r *Report) WriteTable(w io.Writer) error {
	all := r.Summaries()
	fmt.Fprintf(w, "%s\n\n", r.heading())
	if len(all) == 0 {
		fmt.Fprintln(w, "nothing was measured")
		return nil
	}
	if err := writeRows(w, r.costs(all)); err != nil {
		return err
	}
	if rows := r.faults(all); len(rows) > 1 {
		fmt.Fprintf(w, "\n%s:\n\n", r.faultHeading())
		if err := writeRows(w, rows); err != nil {
			return err
		}
	}
	fmt.Fprintln(w)
	for _, line := range r.troubles() {
		fmt.Fprintln(w, line)
	}
	for _, c := range r.Claims() {
		fmt.Fprintln(w, c)
	}
	_, err := fmt.Fprintln(w, r.footer())
	return err
}

// heading names workload, rate and duration.
func (r *Report) heading() string {
	s := &r.Settings
	return fmt.Sprintf("%s · %s · %d %s · fault %s · %d %s of each", s.Workload, s.rate(), s.Parallel,
		plural(s.Parallel, "task an operator", "tasks an operator"), s.Fault, s.Repeat, plural(s.Repeat, "run", "runs"))
}

func (r *Report) faultHeading() string {
	if r.Settings.FaultFor > 0 {
		return "Around the fault, times in ms since it was over"
	}
	return "Around the fault, times in ms since it"
}

// costs are the rows of the first table, its head first.
func (r *Report) costs(all []*Summary) [][]string {
	rows := [][]string{{"", r.Settings.Unit + "/s", "ratio", "p50 ms", "p99 ms", "p99.9 ms", "CPU ns", "MB", "messages", "data", "lost", "twice"}}
	for _, x := range all {
		if x.Throughput == 0 {
			continue
		}
		l, latency := x.Latency, []string{"–", "–", "–"}
		if l != nil {
			latency = []string{number(l.P50), number(l.P99), number(l.P999)}
		}
		messages, share := "–", "–"
		if m := x.Messages; m != nil {
			messages = Count(float64(m.Data.Messages + m.Control.Messages + m.Replay.Messages + m.Log.Messages))
			share = fmt.Sprintf("%.0f %%", 100*m.Share())
		}
		lost, twice := x.outcome()
		row := append([]string{x.Key(), Count(x.Throughput), number(x.Throughput / all[0].Throughput)}, latency...)
		rows = append(rows, append(row, orDash(x.CPU), megabytes(x.Memory-x.Input), messages, share, lost, twice))
	}
	return rows
}

// faults are the rows of the second table, its head first.
func (r *Report) faults(all []*Summary) [][]string {
	rows := [][]string{{"", "detected", "resumed", "at rate", "no backlog", "oldest", "missed", "replayed", "reprocessed", "resent", "disturbed"}}
	for _, x := range all {
		rec := x.Recovery
		if rec == nil {
			continue
		}
		row := []string{
			x.Key(), moment(rec.Detected), moment(rec.Resumed), moment(rec.Regained), moment(rec.Cleared), number(rec.Worst),
			Count(float64(rec.Missed)), Count(float64(rec.Replayed)), Count(float64(rec.Reprocessed)), Count(float64(rec.Resent)),
			fmt.Sprintf("%d of %d", rec.Disturbed, rec.Tasks),
		}
		if rec.Detected == nil {
			row[1] = "–" // there may have been nothing to detect
		}
		if !x.Ours() { // they do not report everything
			for i, cell := range row {
				if cell == "never" || cell == "0" || cell == "0 of 0" {
					row[i] = "–"
				}
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func writeRows(w io.Writer, rows [][]string) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range rows {
		fmt.Fprintln(t, strings.Join(row, "\t")+"\t")
	}
	return t.Flush()
}

// troubles returns the errors of runs.
func (r *Report) troubles() (lines []string) {
	for _, run := range r.Runs {
		switch {
		case run.Error != "":
			lines = append(lines, fmt.Sprintf("%s, run %d: %s", run.Key(), run.Repeat, run.Error))
		case run.Outcome != nil && !run.Outcome.Checked:
			lines = append(lines, fmt.Sprintf("%s, run %d: results were not checked: %s", run.Key(), run.Repeat, run.Outcome.Why))
		}
	}
	return lines
}

// footer names the machine and the commit.
func (r *Report) footer() string {
	m := r.Machine
	text := fmt.Sprintf("%s/%s, %d cores", m.OS, m.Arch, m.Cores)
	if m.CPU != "" {
		text += " (" + m.CPU + ")"
	}
	text += ", " + m.Go
	if r.Commit != "" {
		text += ", commit " + r.Commit
	}
	return text + ". Only ratios within one report say something."
}

func (s *Settings) rate() string {
	if s.Rate == 0 {
		return fmt.Sprintf("as many %s as possible for %g s", s.RateUnit, s.Duration)
	}
	return fmt.Sprintf("%s %s/s for %g s", Count(s.Rate), s.RateUnit, s.Duration)
}

func (r *Run) outcome() (lost, twice string) {
	if o := r.Outcome; o != nil && o.Checked {
		return Count(float64(o.Lost)), Count(float64(o.Duplicated))
	}
	if !r.Ours() {
		return "–", "–"
	}
	return "?", "?"
}

// A Claim is one of the project's own, held against a report.
type Claim struct {
	What  string
	Value float64
	Must  float64
	Goal  float64 // 0: none
	Most  bool    // the value must be at most Must, not at least
}

// Reached reports whether the claim holds.
func (c Claim) Reached() bool {
	if c.Most {
		return c.Value <= c.Must
	}
	return c.Value >= c.Must
}

// String returns the claim with its value and whether it holds.
func (c Claim) String() string {
	verdict, sign := "reached", "≥"
	if c.Most {
		sign = "≤"
	}
	switch {
	case !c.Reached():
		verdict = "FALLS SHORT"
	case c.Goal > 0 && c.Value < c.Goal:
		verdict = "reached, not the goal of " + number(c.Goal)
	}
	return fmt.Sprintf("%s: %s, must be %s %s: %s", c.What, number(c.Value), sign, number(c.Must), verdict)
}

// Claims holds a report against what the project claims of it.
func (r *Report) Claims() (claims []Claim) {
	by := map[string]*Summary{}
	for _, s := range r.Summaries() {
		by[s.Key()] = s
	}
	b := by["backtrack"]
	if b == nil || b.Throughput == 0 {
		return nil
	}
	if r.Settings.Rate == 0 && (r.Settings.Workload == "wordcount" || r.Settings.Workload == "relay") {
		ratio := func(other string, must, goal float64) {
			if o := by[other]; o != nil && o.Throughput > 0 {
				claims = append(claims, Claim{What: "backtrack ÷ " + other + ", throughput", Value: b.Throughput / o.Throughput, Must: must, Goal: goal})
			}
		}
		ratio("none", 0.90, 0.95)
		ratio("ack", 20, 0)
		ratio("acker", 3, 5)
		ratio("barrier", 0.9, 1)
		if b.Messages != nil {
			claims = append(claims, Claim{What: "data ÷ all NATS messages of backtrack", Value: b.Messages.Share(), Must: 0.9, Goal: 0.97})
		}
	}
	for _, s := range r.Summaries() {
		system, _, _ := strings.Cut(s.System, " ")
		c := Claim{What: "backtrack ÷ " + s.Key() + ", throughput", Value: b.Throughput / s.Throughput}
		switch system + " " + s.Name {
		case "storm acked":
			c.Must, c.Goal = 10, 30
		case "flink unchained":
			c.Must, c.Goal = 3, 10
		case "flink chained":
			c.Must, c.Goal = 2, 5
		}
		if c.Must > 0 && s.Throughput > 0 && r.Settings.Workload == "wordcount" && r.Settings.Rate == 0 {
			claims = append(claims, c)
		}
	}
	kind, _, _ := strings.Cut(r.Settings.Fault, "@")
	if o := by["barrier"]; kind == "task" && o != nil && o.Recovery != nil && o.Recovery.Regained != nil && b.Recovery != nil && b.Recovery.Regained != nil {
		// Less than the 10 ms between two samples cannot be measured.
		claims = append(claims, Claim{What: "barrier ÷ backtrack, time until output is back at its rate", Value: *o.Recovery.Regained / max(10, *b.Recovery.Regained), Must: 5, Goal: 20})
	}
	if kind == "freeze-sink" && b.Recovery != nil && b.Outcome != nil {
		claims = append(claims, Claim{What: "backtrack, sent again while the sink was frozen", Value: float64(b.Recovery.Resent), Most: true})
		claims = append(claims, Claim{What: "backtrack, duplicated while the sink was frozen", Value: float64(b.Outcome.Duplicated), Most: true})
	}
	return claims
}

// Count writes a number with three digits: 12.3 M, 456 k, 7.
func Count(n float64) string {
	switch {
	case n >= 999.5e6:
		return number(n/1e9) + " G"
	case n >= 999.5e3:
		return number(n/1e6) + " M"
	case n >= 9999.5:
		return number(n/1e3) + " k"
	}
	return fmt.Sprintf("%.0f", n)
}

// number writes three digits.
func number(x float64) string {
	switch a := math.Abs(x); {
	case math.IsInf(x, 0) || math.IsNaN(x):
		return "–"
	case a == 0:
		return "0"
	case a < 0.0995:
		return fmt.Sprintf("%.4f", x)
	case a < 9.995:
		return fmt.Sprintf("%.2f", x)
	case a < 99.95:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}

func moment(v *float64) string {
	if v == nil {
		return "never"
	}
	return number(*v)
}

func orDash(x float64) string {
	if x == 0 {
		return "–"
	}
	return number(x)
}

func megabytes(b int64) string {
	if b <= 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f", float64(b)/(1<<20))
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
