package backtrack

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/recoverytest"
)

var update = flag.Bool("update", false, "rewrite what the scripts in testdata say that the tasks do")

// TestScripts tells one failure story per file of testdata. A line that begins with a tab is what the tasks did
// upon the command above it; testdata/README.md explains the commands. After a deliberate change run
//
//	go test ./internal/recovery/backtrack -run Scripts -update
//
// and read the diff: commit only what you can explain.
func TestScripts(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.txt")
	if len(files) == 0 {
		t.Fatal("no scripts")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(t, New, string(text))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(text) {
				t.Errorf("%s tells another story now; what the tasks do is:\n%s", file, got)
			}
		})
	}
}

// tell performs the commands of a script, and returns its text with what the tasks did.
func tell(t testing.TB, factory recovery.Factory, text string) string {
	s := script{t: t, factory: factory, operators: map[string]recoverytest.Operator{}}
	return s.run(text)
}

// A script is one story being told.
type script struct {
	t         testing.TB
	factory   recovery.Factory
	settings  recovery.Config
	operators map[string]recoverytest.Operator
	w         *recoverytest.World
	told      []string // by the tasks, upon the running command
	line      string
}

func (s *script) run(text string) string {
	var out strings.Builder
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s\n%s%s", s.line, &out, strings.Join(s.told, "\n"))
		}
	}()
	for n, line := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if strings.HasPrefix(line, "\t") {
			continue
		}
		s.told, s.line = nil, fmt.Sprintf("line %d: %s", n+1, line)
		if words := strings.Fields(line); len(words) > 0 && words[0] != "#" {
			s.perform(words[0], words[1:])
		}
		fmt.Fprintln(&out, line)
		for _, did := range s.told {
			fmt.Fprintf(&out, "\t%s\n", did)
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
			f.Set(reflect.ValueOf(s.number(value)).Convert(f.Type()))
		}
	case "operator":
		s.operators[arg(0)] = s.operator(args[1:])
	case "tasks": // they greet each other unacked
		s.w = recoverytest.New(s.t, s.factory, s.settings, args...)
		s.w.Determinants = describeDeterminants
		for name, op := range s.operators {
			s.w.Operator(name, op)
		}
		s.w.Start()
		s.w.Deliver()
		s.w.Trace = func(did string) { s.told = append(s.told, did) }
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
	case "crash", "restart", "pause", "resume", "stick", "unstick", "timer", "store":
		for _, task := range args {
			map[string]func(string){
				"crash": w.Crash, "restart": w.Restart, "pause": w.Pause, "resume": w.Resume,
				"stick": w.Stick, "unstick": w.Unstick, "timer": w.Timer, "store": w.Store,
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
		s.told = slices.DeleteFunc(s.told, func(did string) bool { // there are many, all alike
			return strings.Contains(did, " MARK ") || strings.Contains(did, " ACK ")
		})
	case "expect":
		s.expect(arg(0), arg(1), args[2:])
	default:
		s.t.Fatalf("%s: no such command", s.line)
	}
}

func (s *script) operator(words []string) (op recoverytest.Operator) {
	for _, word := range words {
		switch word {
		case "per-frame":
			op.Pessimism = recovery.PerFrame
		case "per-tuple":
			op.Pessimism = recovery.PerTuple
		default: // timers, time, rand, secret
			reflect.ValueOf(&op).Elem().FieldByName(strings.ToUpper(word[:1]) + word[1:]).SetBool(true)
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

// expect compares what a task's operator has consumed, or numbers that its machine tells of.
func (s *script) expect(task, what string, want []string) {
	var got []string
	switch what {
	case "consumed":
		got = s.w.Consumed(task)
	case "given-up":
		got = s.w.GivenUp(task)
	case "failed", "done":
		if what == "failed" && s.w.Err(task) == nil || what == "done" && !s.w.Done(task) {
			s.t.Errorf("%s: it has not", s.line)
		}
	default:
		status := s.w.Status(task)
		of := map[string]any{"status": *status, "counters": status.Counters, "recovery": status.Recovery}[what]
		for _, word := range want {
			name, _, _ := strings.Cut(word, "=")
			got = append(got, fmt.Sprintf("%s=%v", name, reflect.ValueOf(of).FieldByName(name)))
		}
	}
	if !slices.Equal(got, want) {
		s.t.Errorf("%s\ngot %q", s.line, got)
	}
}
