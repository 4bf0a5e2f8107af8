package report

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// drawn is a report with three strategies, of which one was run twice and one failed.
func drawn() *Report {
	ms := func(v float64) *float64 { return &v }
	run := func(name string, repeat int, rate, back float64) *Run {
		r := &Run{
			System: "askback", Name: name, Guarantee: "exactly once", Repeat: repeat,
			Seconds: 5, Results: int64(5 * rate), Throughput: rate, CPU: 100, Memory: 300 << 20, Input: 100 << 20,
			Latency:  &Latency{P50: 1, P99: 2, P999: 3, Max: 4},
			Messages: &Messages{Data: Traffic{950, 1e6}, Control: Traffic{30, 1e3}, Log: Traffic{20, 1e3}},
			Recovery: &Recovery{At: 5, Victims: []string{"count.1"}, Detected: ms(0.2), Resumed: ms(back / 2), Regained: ms(back), Worst: 2 * back, Missed: 12_345, Replayed: 12_345, Tasks: 5},
			Outcome:  &Outcome{Expected: 1e6, Checked: true},
		}
		for t := -1.0; t < 10; t += 0.05 {
			p := Point{At: t, Rate: rate * (1 + 0.1*math.Sin(7*t)), P50: 1, P99: 2 + math.Sin(3*t)}
			if t > 5 && t < 5+back/1000 {
				p.Rate, p.P50, p.P99 = 0, 0, 0
			}
			r.Series = append(r.Series, p)
		}
		return r
	}
	bad := &Run{System: "askback", Name: "ack", Repeat: 1, Error: `task </script> "count.1": it failed`}
	return &Report{
		Format: Format, Made: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Commit: "0123456789",
		Machine:  Machine{OS: "linux", Arch: "amd64", Cores: 2, Go: "go1.26"},
		Settings: Settings{Workload: "wordcount", About: "lines → words", Unit: "words", RateUnit: "lines", Parallel: 2, Duration: 10, Repeat: 2, Fault: "task@5s", FaultAt: 5},
		Runs: []*Run{
			run("none", 1, 10e6, 100), bad, run("barrier", 1, 9e6, 800), run("backtrack", 1, 9.5e6, 40),
			run("none", 2, 12e6, 120), run("barrier", 2, 9e6, 1000), run("backtrack", 2, 8e6, 60),
		},
	}
}

// A report written as JSON can be read again, and another format is rejected.
func TestJSON(t *testing.T) {
	r := drawn()
	var b bytes.Buffer
	if err := r.Encode(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Decode(bytes.NewReader(b.Bytes()))
	if err != nil || !reflect.DeepEqual(got, r) {
		t.Errorf("%v\n%+v\n%+v", err, got, r)
	}
	for _, text := range []string{"", "[]", `{"format":99}`, `{}`} {
		if _, err := Decode(strings.NewReader(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
	var fields map[string]any
	if err := json.Unmarshal(b.Bytes(), &fields); err != nil || fields["runs"] == nil || fields["settings"] == nil {
		t.Errorf("%v %v", err, fields)
	}
}

// A summary is the median of what was measured, and a strategy that failed is among them.
func TestSummaries(t *testing.T) {
	all := drawn().Summaries()
	var names []string
	for _, s := range all {
		names = append(names, s.Key())
	}
	if want := []string{"none", "ack", "barrier", "backtrack"}; !reflect.DeepEqual(names, want) {
		t.Fatalf("%v, want %v", names, want)
	}
	if n := all[0]; n.Throughput != 12e6 || n.Low != 10e6 || n.High != 12e6 || n.Runs != 2 || *n.Recovery.Regained != 120 {
		t.Errorf("%+v", n)
	}
	if a := all[1]; a.Errs != 1 || a.Runs != 0 || a.Error == "" {
		t.Errorf("%+v", a)
	}
	// A recovery that was never reached counts as later than all.
	r := drawn()
	r.Runs[0].Recovery.Regained = nil
	if s := r.Summaries()[0]; s.Recovery.Regained != nil {
		t.Errorf("regained after %v", *s.Recovery.Regained)
	}
}

// The table names the claims that do not hold.
func TestTable(t *testing.T) {
	r := drawn()
	var b strings.Builder
	if err := r.WriteTable(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"12.0 M", "12.3 k", "0.79", "95 %", "backtrack ÷ none, throughput: 0.79, must be ≥ 0.90: FALLS SHORT",
		"back at its rate: 16.7, must be ≥ 5.00: reached, not the goal of 20.0", "ack, run 1: task", "linux/amd64, 2 cores, go1.26, commit 0123456789",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in\n%s", want, b.String())
		}
	}
	r.Runs = nil
	b.Reset()
	if err := r.WriteTable(&b); err != nil || !strings.Contains(b.String(), "nothing was measured") {
		t.Errorf("%v %s", err, b.String())
	}
}

func TestCount(t *testing.T) {
	for n, want := range map[float64]string{0: "0", 7: "7", 9999: "9999", 12_345: "12.3 k", 999_600: "1.00 M", 12_345_678: "12.3 M", 2e9: "2.00 G"} {
		if got := Count(n); got != want {
			t.Errorf("%g: %q, want %q", n, got, want)
		}
	}
}

// The page draws in a real browser, with everything it needs in it.
func TestPage(t *testing.T) {
	var b bytes.Buffer
	if err := drawn().WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, never := range []string{"src=", "@import", "url(", `task </script>`} {
		if strings.Contains(page, never) {
			t.Errorf("the page has %q", never)
		}
	}
	if strings.Count(page, "http") != strings.Count(page, "http://www.w3.org/2000/svg") {
		t.Error("the page has an address")
	}
	browser, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("there is no chromium to open the page with: install the Debian package chromium")
		}
		t.Skip("there is no chromium to open the page with")
	}
	if testing.Short() {
		t.Skip("a browser takes seconds")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	// Somebody looks closer and points into the middle.
	b.WriteString(`<script>document.querySelector(".zoom").click()
const svg = document.querySelector("#rate svg"), box = svg.getBoundingClientRect()
svg.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + box.width / 2, clientY: box.top + 50}))</script>`)
	if err := os.WriteFile(file, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(browser, "--headless", "--no-sandbox", "--disable-gpu", "--user-data-dir="+filepath.Join(dir, "profile"), "--dump-dom", "file://"+file)
	dom, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(dom, []byte(`class="trace`)); n != 6 { // three strategies, two charts
		t.Errorf("%d lines were drawn, want 6", n)
	}
	for _, want := range []string{"task killed", "falls short", "and one task is killed", `data-drawn="6"`, "M words/s</td>", "(fault ", "4.5 s"} {
		if !bytes.Contains(dom, []byte(want)) {
			t.Errorf("the page as drawn lacks %q", want)
		}
	}
}
