package backtrack

import (
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestRules demands that each rule of the protocol is named where it is kept, and told of by a script.
func TestRules(t *testing.T) {
	code := read(t, "*.go", "../*.go", "../../checkpoint/*.go", "../../../state/*.go")
	scripts := read(t, "testdata/*.txt")
	for _, rule := range strings.Fields("T1 T2 T3 T4 T5 S1 S2 S3 S4 D1 D2 D3 D4 C1 C2 C3 C4 R1 R2 R3 R4 R5") {
		name := regexp.MustCompile(`\b` + rule + `\b`)
		if !name.MatchString(code) {
			t.Errorf("no comment says where rule %s is kept", rule)
		}
		if !name.MatchString(scripts) {
			t.Errorf("no script shows rule %s", rule)
		}
	}
}

// read returns the text of the files that match the patterns, tests and the overview in doc.go excepted.
func read(t *testing.T, patterns ...string) string {
	var all strings.Builder
	for _, p := range patterns {
		files, err := filepath.Glob(p)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", p, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") || filepath.Base(file) == "bugs.go" || file == "doc.go" {
				continue
			}
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(b)
		}
	}
	return all.String()
}

// TestBugsChangeStories plants each bug: a script must tell another story then. A rule that can be broken without
// a script noticing is not shown by any.
func TestBugsChangeStories(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	for _, bug := range Bugs {
		var noticed []string
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !sameStory(bug, string(text)) {
				noticed = append(noticed, strings.TrimSuffix(filepath.Base(file), ".txt"))
			}
		}
		if len(noticed) == 0 {
			t.Errorf("bug %s goes unnoticed", bug)
		} else {
			t.Logf("%s is noticed by %s", bug, strings.Join(noticed, ", "))
		}
	}
}

// sameStory tells a script with a bug planted, in a goroutine of its own, since a failed test ends its goroutine.
func sameStory(bug Bug, text string) (same bool) {
	q := quiet{failed: new(bool)}
	done := make(chan bool)
	go func() {
		defer func() { done <- same && !*q.failed }()
		same = tell(q, Planted(bug), text) == text
	}()
	return <-done
}

// A quiet test fails without telling anyone.
type quiet struct {
	testing.TB // nil: what is not below is not called
	failed     *bool
}

func (q quiet) Helper()               { /* nobody asks for the line */ }
func (q quiet) Failed() bool          { return *q.failed }
func (q quiet) Logf(string, ...any)   {}
func (q quiet) Errorf(string, ...any) { *q.failed = true }
func (q quiet) Fatalf(string, ...any) { *q.failed = true; runtime.Goexit() }
