package recoverytest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

var update = flag.Bool("update", false, "rewrite the lines of the stories in testdata that show the tasks' actions")

// Stories are the scripts in a strategy's testdata, and how its worlds are made. README.md explains the language.
type Stories struct {
	Factory recovery.Factory
	Base    *recovery.Base // of a strategy that rolls back all tasks together
	// SpoutsGoOn lets a restarted spout continue at the position of the lost one, like a spout without a log.
	SpoutsGoOn bool
	// Determinants describes a record of determinants, and Signal a signal that the usual description does not suffice
	// for: "" if it does. Nil is allowed for both.
	Determinants func(record []byte) string
	Signal       func(sig *channel.Signal, of msgid.Channel) string
}

// Run runs each story of testdata as a subtest. A line that begins with a tab shows an action of a task upon the command
// above it, and is compared to the letter. After a deliberate change run the test with -update and read the difference:
// commit only what you can explain.
func (s Stories) Run(t *testing.T) {
	for _, file := range scripts(t) {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text := read(t, file)
			if !*update {
				s.check(t, text)
			} else if err := os.WriteFile(file, []byte(s.play(t, text)), 0o644); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// ShowBugs demands that a story differs for each bug of a strategy that is planted: a rule that can be broken without a
// difference in any story is not shown by any.
func ShowBugs[Bug ~string](t *testing.T, s Stories, bugs []Bug, planted func(Bug) recovery.Factory) {
	files := scripts(t)
	for _, bug := range bugs {
		s.Factory = planted(bug)
		var noticed []string
		for _, file := range files {
			if text := read(t, file); !s.same(text) {
				noticed = append(noticed, strings.TrimSuffix(filepath.Base(file), ".txt"))
			}
		}
		if len(noticed) == 0 {
			t.Errorf("bug %s makes no difference in any story", bug)
		} else {
			t.Logf("%s makes a difference in %s", bug, strings.Join(noticed, ", "))
		}
	}
}

// ShowRules demands that each rule that the package's doc.go defines is named in a comment where it is kept, in the files
// that match the patterns, and by a story.
func ShowRules(t *testing.T, patterns ...string) {
	var code, stories strings.Builder
	for _, pattern := range append(patterns, "*.go") {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, file := range files {
			if !strings.HasSuffix(file, "_test.go") && filepath.Base(file) != "bugs.go" && file != "doc.go" {
				code.WriteString(read(t, file))
			}
		}
	}
	for _, file := range scripts(t) {
		stories.WriteString(read(t, file))
	}
	rules := regexp.MustCompile(`(?m)^//   - ([A-Z]\d): `).FindAllStringSubmatch(read(t, "doc.go"), -1)
	if len(rules) == 0 {
		t.Fatal("doc.go defines no rules")
	}
	for _, m := range rules {
		name := regexp.MustCompile(`\b` + m[1] + `\b`)
		if !name.MatchString(code.String()) {
			t.Errorf("no comment names the code that keeps rule %s", m[1])
		}
		if !name.MatchString(stories.String()) {
			t.Errorf("no story shows rule %s", m[1])
		}
	}
}

func scripts(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories in testdata: %v", err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// check fails the test if the actions of a story's tasks differ from its text, or an expectation in it fails.
func (s Stories) check(t testing.TB, text string) {
	t.Helper()
	if got := s.play(t, text); got != text {
		t.Errorf("the actions of the tasks have changed; they are:\n%s", got)
	}
}

// same reports whether check does not fail, in a goroutine of its own, since a failed test ends its goroutine.
func (s Stories) same(text string) bool {
	q := quiet{failed: new(bool)}
	done := make(chan bool)
	go func() {
		defer func() { done <- !*q.failed }()
		s.check(q, text)
	}()
	return <-done
}

// A quiet test fails without a report.
type quiet struct {
	testing.TB // nil: methods that are not below are not called
	failed     *bool
}

func (q quiet) Helper()               { /* no line is reported */ }
func (q quiet) Failed() bool          { return *q.failed }
func (q quiet) Logf(string, ...any)   {}
func (q quiet) Errorf(string, ...any) { *q.failed = true }
func (q quiet) Fatalf(string, ...any) { *q.failed = true; runtime.Goexit() }

// play runs the commands of a script, and returns its text with the actions of the tasks.
func (s Stories) play(t testing.TB, text string) string {
	x := script{Stories: s, t: t, operators: map[string]Operator{}}
	return x.run(text)
}

// A script is the run of one story.
type script struct {
	Stories
	t         testing.TB
	settings  recovery.Config
	operators map[string]Operator
	w         *World
	actions   []string // of the tasks, upon the running command
	line      string
}

func (s *script) run(text string) string {
	var out strings.Builder
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s\n%s%s", s.line, &out, strings.Join(s.actions, "\n"))
		}
	}()
	for n, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		s.actions, s.line = nil, fmt.Sprintf("line %d: %s", n+1, line)
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			s.perform(words[0], words[1:])
		}
		fmt.Fprintln(&out, line)
		for _, action := range s.actions {
			fmt.Fprintf(&out, "\t%s\n", action)
		}
	}
	return out.String()
}

func (s *script) perform(verb string, args []string) {
	arg := func(k int) string {
		if k < len(args) {
			return args[k]
		}
		return ""
	}
	w := s.w
	switch verb {
	case "set":
		for _, word := range args {
			name, value, _ := strings.Cut(word, "=")
			f := reflect.ValueOf(&s.settings).Elem().FieldByName(name)
			if !f.IsValid() {
				s.t.Fatalf("%s: recovery.Config has no field %q", s.line, name)
			}
			f.Set(reflect.ValueOf(s.number(value)).Convert(f.Type()))
		}
	case "operator":
		s.operators[arg(0)] = s.operator(args[1:])
	case "tasks":
		s.start(args)
	case "emit":
		for _, frame := range args[1:] {
			first, last, several := strings.Cut(frame, "..")
			if !several {
				last = first
			}
			w.Emit(arg(0), s.number(last)-s.number(first)+1)
		}
	case "end":
		w.End(arg(0))
	case "deliver":
		w.Deliver(args...)
	case "drop":
		w.Drop(arg(0), arg(1))
	case "duplicate":
		w.Duplicate(arg(0), arg(1))
	case "delay":
		w.Delay(arg(0), arg(1))
	case "arrive":
		w.Arrive(arg(0))
	case "crash", "restart", "pause", "resume", "stick", "unstick", "timer", "upload":
		for _, task := range args {
			map[string]func(string){
				"crash": w.Crash, "restart": w.Restart, "pause": w.Pause, "resume": w.Resume,
				"stick": w.Stick, "unstick": w.Unstick, "timer": w.Timer, "upload": w.Upload,
			}[verb](task)
		}
	case "append":
		w.Append(arg(0), arg(1) != "unanswered")
	case "forget":
		w.Forget(arg(0), s.number(arg(1)))
	case "lose-log":
		w.LoseLog(arg(0))
	case "poison":
		w.Poison(arg(0), arg(1))
	case "tick":
		w.Tick(recovery.Tick(s.number(arg(0))))
	case "settle":
		w.Settle()
		s.actions = slices.DeleteFunc(s.actions, func(action string) bool { // there are many, all alike
			return strings.Contains(action, " MARK ") || strings.Contains(action, " ACK ")
		})
	case "expect":
		s.expect(arg(0), arg(1), args[2:])
	default:
		s.t.Fatalf("%s: no such command", s.line)
	}
}

// start makes the world and starts its tasks. They greet each other without a trace.
func (s *script) start(channels []string) {
	s.w = NewOn(s.t, s.Factory, s.Base, s.settings, channels...)
	s.w.SpoutsGoOn, s.w.Determinants, s.w.Signal = s.SpoutsGoOn, s.Determinants, s.Signal
	for name, op := range s.operators {
		s.w.Operator(name, op)
	}
	s.w.Start()
	if s.w.Deliver(); s.Base != nil {
		s.w.Settle() // until an epoch runs
	}
	s.w.Trace = func(action string) { s.actions = append(s.actions, action) }
}

func (s *script) operator(words []string) (op Operator) {
	for _, word := range words {
		switch word {
		case "per-frame":
			op.Pessimism = recovery.PerFrame
		case "per-tuple":
			op.Pessimism = recovery.PerTuple
		case "timers":
			op.Timers = true
		case "time":
			op.Time = true
		case "rand":
			op.Rand = true
		case "secret":
			op.Secret = true
		default:
			s.t.Fatalf("%s: no operator does %q", s.line, word)
		}
	}
	return op
}

func (s *script) number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		s.t.Fatalf("%s: %v", s.line, err)
	}
	return n
}

// expect compares the state of a task's operator, or numbers of its machine.
func (s *script) expect(task, what string, want []string) {
	var got []string
	switch what {
	case "consumed":
		got = s.w.Consumed(task)
	case "given-up":
		got = s.w.GivenUp(task)
	case "failed", "done", "not-done":
		if what == "failed" && s.w.Err(task) == nil || what != "failed" && s.w.Done(task) != (what == "done") {
			s.t.Errorf("%s: it is not so", s.line)
		}
	case "status", "counters", "recovery":
		status := s.w.Status(task)
		of := map[string]any{"status": *status, "counters": status.Counters, "recovery": status.Recovery}[what]
		for _, word := range want {
			name, _, _ := strings.Cut(word, "=")
			f := reflect.ValueOf(of).FieldByName(name)
			if !f.IsValid() {
				s.t.Fatalf("%s: %s has no field %q", s.line, what, name)
			}
			got = append(got, fmt.Sprintf("%s=%v", name, f))
		}
	default:
		s.t.Fatalf("%s: no property of a task is called %q", s.line, what)
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("%s\ngot %q", s.line, got)
	}
}
