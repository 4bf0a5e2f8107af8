package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/cli"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// TestMain lets the test binary be a topology program: one without flags of its own, or one with.
func TestMain(m *testing.M) {
	switch os.Getenv("CLI_TEST_PROGRAM") {
	case "squares":
		cli.Main(squares(20_000))
	case "own":
		own().Main()
	case "endless":
		var once sync.Once
		b := topology.New("endless")
		b.Spout("numbers", spout.Generate(0, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).Fields("n")
		b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error {
			once.Do(func() { fmt.Println("begun") })
			return nil
		})).Global("numbers")
		cli.Main(b)
	case "stuck":
		b := topology.New("stuck")
		b.Spout("numbers", spout.Slice("one")).Fields("word")
		b.Bolt("waits", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error {
			fmt.Println("begun")
			select {}
		})).Global("numbers")
		cli.Main(b, askback.WithStopTimeout(50*time.Millisecond))
	case "buggy":
		b := topology.New("buggy")
		b.Spout("numbers", spout.Slice("one", "two", "three")).Fields("word")
		b.Bolt("length", bolt.Func(func(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
			if t.String(0) == "two" {
				return errors.New("two is one too many")
			}
			return nil
		})).Shuffle("numbers")
		cli.Main(b)
	case "clash":
		cli.Program{
			Flags: func(f *flag.FlagSet) { f.String("dir", "", "") },
			Build: func([]string) (topology.Topology, error) { return squares(1), nil },
		}.Main()
	}
	os.Exit(m.Run())
}

// squares is a topology that squares the numbers below n.
func squares(n int64) *topology.Builder {
	b := topology.New("squares")
	b.Spout("numbers", spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() })).Fields("n")
	b.Bolt("square", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		return out.Row().Int(t.Int(0) * t.Int(0)).Emit()
	})).
		Parallel(2).Shuffle("numbers").Fields("square")
	b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })).Global("square")
	return b
}

// own is a program with flags, arguments and an environment of its own, which are its operators' names and numbers.
func own() cli.Program {
	var parallel int
	var drop bool
	var region string
	return cli.Program{
		Name: "own", About: "Squares numbers.", Args: "[name ...]",
		Flags: func(f *flag.FlagSet) {
			f.IntVar(&parallel, "parallel", 2, "`tasks` that square")
			f.BoolVar(&drop, "drop", false, "drop odd numbers")
			f.StringVar(&region, "region", os.Getenv("TEST_REGION"), "where")
		},
		Build: func(names []string) (topology.Topology, error) {
			if parallel < 1 {
				return nil, fmt.Errorf("--parallel %d: want 1 or more", parallel)
			}
			b := squares(2000)
			n := b.Bolt("of-"+strings.Join(append(names, region, os.Getenv("TEST_ZONE")), "-"), bolt.Func(func(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
				if drop && t.Int(0)%2 == 1 {
					return errors.New("odd")
				}
				return nil
			})).Parallel(parallel).Shuffle("square")
			if drop {
				n.Drop()
			}
			return b, nil
		},
		Options: func() []askback.Option { return []askback.Option{askback.WithFrameSize(parallel << 10)} },
		Done: func(r *askback.Report) error {
			if parallel == 7 {
				return errors.New("seven is not enough")
			}
			return nil
		},
	}
}

// program is the test binary as a program.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "CLI_TEST_PROGRAM="+name, "TMPDIR="+t.TempDir(), "TEST_REGION=eu")
	return c
}

// as is the program squares as a cluster starts it in a role.
func as(role string, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), "CLI_TEST_PROGRAM=squares", cluster.RoleVariable+"="+role)
	return c
}

func TestMainCommand(t *testing.T) {
	for _, c := range []struct {
		program, args string
		status        int
		says          string
	}{
		{"squares", "--help", 0, "--durability"},
		{"squares", "-h", 0, "squares submit"},
		{"squares", "--plan", 0, "numbers"},
		{"squares", "--dot", 0, "digraph"},
		{"squares", "", 0, "complete"},
		{"squares", "--kill 2 --seed 7", 0, "restored"},
		{"squares", "-kill 2", 0, "restored"},
		{"squares", "--json --kill=2", 0, `"kills":2`},
		{"squares", "--strategy none", 0, "complete"},
		{"squares", "--strategy hope", 2, "there are backtrack"},
		{"squares", "--durability hope", 2, "hope"},
		{"squares", "--nonsense", 2, "unknown flag --nonsense: there are --dir, --dot, --durability"},
		{"squares", "--nonsense=secret", 2, "unknown flag --nonsense:"},
		{"squares", "--dir", 2, "needs a value"},
		{"squares", "--kill many", 2, `--kill "many"`},
		{"squares", "--kill -1", 2, "--kill -1"},
		{"squares", "argument", 2, "argument"},
		{"squares", "--keep", 1, "WithServer"},
		{"squares", "--server nats://127.0.0.1:1", 1, "127.0.0.1:1"},

		{"own", "--help", 0, "Flags of own:\n  --drop"},
		{"own", "--help", 0, "  --parallel tasks      tasks that square (default 2)"},
		{"own", "--plan", 0, "of-eu-"},
		{"own", "--region us --plan", 0, "of-us-"},
		{"own", "--plan a --parallel 3 b", 0, "of-a-b-eu-"},
		{"own", "--plan -- --parallel 3", 0, "of---parallel-3-eu-"},
		{"own", "--plan --env TEST_ZONE=5 --env=TEST_REGION=asia", 0, "of-asia-5"},
		{"own", "--env TEST_NOT_SET", 2, "--env TEST_NOT_SET=VALUE"},
		{"own", "--env a.b=c", 2, "a.b"},
		{"own", "--env ASKBACK_ROLE=worker", 2, "ASKBACK_ROLE"},
		{"own", "--kill 2 --parallel 3 -drop=false", 0, "complete"},
		{"own", "--drop", 0, "LOST      1000 tuples dropped by the operator (of-eu- 1000)\n"},
		{"own", "--drop --json", 0, `"dropped":1000}`},
		{"own", "--parallel 0", 1, "want 1 or more"},
		{"own", "--parallel many", 2, `--parallel "many"`},
		{"own", "--parallel 7", 1, "seven is not enough"},
		{"own", "--nonsense", 2, "--parallel"},
		{"clash", "", 1, "--dir"},
	} {
		t.Run(c.program+" "+c.args, func(t *testing.T) {
			cmd := program(t, c.program, strings.Fields(c.args)...)
			temp := t.TempDir()
			cmd.Env = append(cmd.Env, "TMPDIR="+temp)
			out, _ := cmd.CombinedOutput() // the exit status is checked
			if status := cmd.ProcessState.ExitCode(); status != c.status || !strings.Contains(string(out), c.says) || strings.Contains(string(out), "goroutine ") {
				t.Errorf("exit status %d, want %d and %q:\n%s", status, c.status, c.says, out)
			}
			if left, _ := os.ReadDir(temp); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

// The JSON is one line on standard output, in one naming style, with the figures of each operator.
func TestJSON(t *testing.T) {
	c := program(t, "own", "--json", "--kill", "3", "--seed", "5", "--drop")
	var out, story bytes.Buffer
	c.Stdout, c.Stderr = &out, &story
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, story.String())
	}
	var got struct {
		Topology, Plan, Strategy string
		Kills, Dropped           int
		Operators                []struct {
			Operator string
			Tasks    []string
			Dropped  int
		}
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || strings.Count(out.String(), "\n") != 1 {
		t.Fatalf("%v: %s", err, out.String())
	}
	last := got.Operators[len(got.Operators)-1]
	if got.Topology != "squares" || len(got.Plan) != 16 || got.Strategy != "backtrack" || got.Kills != 3 || got.Dropped != 1000 ||
		last.Operator != "of-eu-" || last.Dropped != 1000 || strings.Join(last.Tasks, " ") != "of-eu-.0 of-eu-.1" {
		t.Errorf("%+v", got)
	}
	if strings.ToLower(out.String()) != out.String() {
		t.Errorf("names in another style: %s", out.String())
	}
	if !strings.Contains(story.String(), "\nLOST ") {
		t.Errorf("the story does not end with the loss:\n%s", story.String())
	}
}

// A tuple that cannot be processed ends the program with an error that names it, and with what can be done.
func TestFails(t *testing.T) {
	c := program(t, "buggy", "--json", "--dir", filepath.Join(t.TempDir(), "store"))
	var out, complaints bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaints
	_ = c.Run() // the exit status is checked
	for _, part := range []string{`buggy: `, `operator "length", task length.0 could not process tuple numbers.0>length.0#2 {word: "two"}: two is one too many`, "\nbuggy: nothing is lost"} {
		if !strings.Contains(complaints.String(), part) {
			t.Errorf("%q is not in\n%s", part, complaints.String())
		}
	}
	if c.ProcessState.ExitCode() != 1 || !strings.Contains(out.String(), `"error":"`) || strings.Contains(complaints.String(), "complete") {
		t.Errorf("exit status %d:\n%s%s", c.ProcessState.ExitCode(), complaints.String(), out.String())
	}
}

// A run that the user interrupts ends with a hint how to go on.
func TestInterrupted(t *testing.T) {
	if got := interrupted(t, "endless"); got != "endless: interrupted; run the same command again to go on from here\n" {
		t.Error(got)
	}
}

// If an operator does not return when the run is interrupted, its name comes with that.
func TestInterruptedWhileStuck(t *testing.T) {
	if got := interrupted(t, "stuck"); !strings.HasPrefix(got, "stuck: interrupted; ") || !strings.Contains(got, `operator "waits"`) {
		t.Error(got)
	}
}

// interrupted interrupts a program once it has begun, and returns its complaints.
func interrupted(t *testing.T, name string) string {
	t.Helper()
	c := program(t, name, "--dir", filepath.Join(t.TempDir(), "store"))
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints bytes.Buffer
	c.Stderr = &complaints
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "begun\n" {
		t.Errorf("%q, %v", line, err)
	}
	_ = c.Process.Signal(syscall.SIGTERM)
	_ = c.Wait() // the exit status is checked
	if c.ProcessState.ExitCode() != 130 {
		t.Errorf("exit status %d", c.ProcessState.ExitCode())
	}
	return complaints.String()
}
