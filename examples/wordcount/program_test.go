package main

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/natstest"
	"github.com/askback/askback/internal/wordcheck"
)

// TestMain lets the test binary be the program and a NATS server: processes of their own can be killed.
func TestMain(m *testing.M) {
	natstest.Main()
	if os.Getenv("WORDCOUNT_TEST_PROGRAM") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// A program is one run of the word count.
type program struct {
	*exec.Cmd
	out   bytes.Buffer
	lines chan string // of the story
	temp  string      // where it keeps temporary files
	done  chan struct{}
	story strings.Builder // complete when done
	t     *testing.T
}

// start starts the program with -json, so that the story is on standard error.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.Command(os.Args[0], append([]string{"-json"}, args...)...), t: t,
		lines: make(chan string, 1000), done: make(chan struct{}), temp: t.TempDir()}
	p.Env = append(os.Environ(), "WORDCOUNT_TEST_PROGRAM=1", "TMPDIR="+p.temp)
	p.Stdout = &p.out
	errors, err := p.StderrPipe()
	check(t, err)
	check(t, p.Start())
	go func() {
		defer close(p.done)
		defer close(p.lines)
		for s := bufio.NewScanner(errors); s.Scan(); {
			fmt.Fprintln(&p.story, s.Text())
			select {
			case p.lines <- s.Text():
			default: // the test does not follow
			}
		}
	}()
	t.Cleanup(func() { p.kill() })
	return p
}

// kill is kill -9. It may be repeated, and come too late.
func (p *program) kill() {
	_ = p.Process.Kill()
	<-p.done
	_ = p.Wait()
}

// end waits until the program ends, and returns its exit status and its story.
func (p *program) end() (status int, story string) {
	p.t.Helper()
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.kill()
		p.t.Fatalf("still running:\n%s", p.story.String())
	}
	_ = p.Wait() // the exit status says it
	return p.ProcessState.ExitCode(), p.story.String()
}

// until reads the story up to the line of the n-th further kill. It reports whether that came before the end.
func (p *program) until(kills int) bool {
	for line := range p.lines {
		if strings.HasPrefix(line, "killed") {
			if kills--; kills == 0 {
				return true
			}
		}
	}
	return false
}

// result is what the program said in JSON. It must have ended with the status.
func (p *program) result(status int) (o wordcheck.Outcome, story string) {
	p.t.Helper()
	got, story := p.end()
	if got != status {
		p.t.Fatalf("exit status %d, want %d:\n%s%s", got, status, story, p.out.String())
	}
	if err := json.Unmarshal(p.out.Bytes(), &o); err != nil || bytes.Count(p.out.Bytes(), []byte("\n")) != 1 {
		p.t.Fatalf("not one line of JSON: %q, %v\n%s", p.out.String(), err, story)
	}
	if left, _ := os.ReadDir(p.temp); len(left) > 0 {
		p.t.Errorf("left behind: %v", left)
	}
	return o, story
}

// exactly checks that nothing was lost and nothing duplicated, and that the counts are those of the text.
func (p *program) exactly(kills int, out string, want string) (wordcheck.Outcome, string) {
	p.t.Helper()
	o, story := p.result(0)
	if o.Lost == nil || *o.Lost != 0 || *o.Duplicated != 0 || o.Kills < kills || o.Recoveries < kills || o.Missed != o.Replayed {
		p.t.Errorf("%s%s", story, p.out.String())
	}
	got, err := os.ReadFile(out)
	check(p.t, err)
	if string(got) != want {
		p.t.Errorf("the counts are not those of the text: %d bytes, want %d\n%s", len(got), len(want), story)
	}
	return o, story
}

// newSeed returns the seed of a test, which is logged if the test fails.
func newSeed(t *testing.T) uint64 {
	seed := uint64(time.Now().UnixNano())
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	})
	return seed
}

// text makes files of some bytes in all, of words of a small and of a large vocabulary, and returns their
// directory and their counts as -out writes them.
func text(t *testing.T, seed uint64, size, passes int) (dir, counts string) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	dir = t.TempDir()
	var all []byte
	between := []string{" ", "  ", "\n", ", ", "\r\n", ".\n\n", "-", "é", "\x00", "\t"}
	for file := 0; len(all) < size; file++ {
		var b []byte
		for len(b) < size/4 {
			n := r.IntN(200)
			if r.IntN(4) == 0 {
				n = r.IntN(50_000)
			}
			b = fmt.Appendf(b, "w_%x%s", n*n, between[r.IntN(len(between))])
		}
		write(t, filepath.Join(dir, fmt.Sprintf("%d.txt", file)), b)
		all = append(append(all, b...), '\n')
	}
	return dir, count(all, passes)
}

// count counts words as tr, sort and uniq would.
func count(text []byte, passes int) string {
	n := make(map[string]int)
	words := bytes.FieldsFunc(text, func(c rune) bool {
		return c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z')
	})
	for _, w := range words {
		n[string(w)] += passes
	}
	var out strings.Builder
	for _, w := range slices.SortedFunc(maps.Keys(n), cmp.Compare[string]) {
		fmt.Fprintf(&out, "%s\t%d\n", w, n[w])
	}
	return out.String()
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	check(t, os.WriteFile(path, data, 0o600))
	return path
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func args(a ...any) (s []string) {
	for _, v := range a {
		s = append(s, fmt.Sprint(v))
	}
	return s
}

func TestKilled(t *testing.T) {
	seed := newSeed(t)
	dir, want := text(t, seed, 2<<20, 2)
	out := filepath.Join(t.TempDir(), "counts")
	o, story := start(t, args("-kill", 5, "-seed", seed, "-passes", 2, "-out", out, dir)...).exactly(5, out, want)
	if o.Files != 4 || o.Seed != seed || o.Words == 0 || o.WordsPerSecond <= 0 || o.Resumed || strings.Count(story, "\nkilled ") != o.Recoveries {
		t.Errorf("%+v\n%s", o, story)
	}
}

func TestPairsKilled(t *testing.T) {
	seed := newSeed(t)
	dir, want := text(t, seed, 2<<20, 1)
	out := filepath.Join(t.TempDir(), "counts")
	// One of a pair may have been complete and idle; that it is killed all the same makes two recoveries a kill.
	start(t, args("-pairs", "-kill", 4, "-seed", seed, "-out", out, dir)...).exactly(8, out, want)
}

func TestServerKilled(t *testing.T) {
	seed := newSeed(t)
	dir, want := text(t, seed, 2<<20, 2)
	out := filepath.Join(t.TempDir(), "counts")
	server := natstest.Start(t)
	p := start(t, args("-server", server.URL(), "-kill", 9, "-seed", seed, "-passes", 2, "-out", out, dir)...)
	for range 2 {
		if !p.until(3) {
			break
		}
		server.Kill()
		server.Again()
	}
	p.exactly(9, out, want)
	if !strings.Contains(p.story.String(), "\ntransport ") {
		t.Errorf("it does not tell that the server was away:\n%s", p.story.String())
	}
}

func TestProgramKilled(t *testing.T) {
	seed := newSeed(t)
	dir, want := text(t, seed, 1<<20, 160)
	log, out := filepath.Join(t.TempDir(), "log"), filepath.Join(t.TempDir(), "counts")
	command := args("-dir", log, "-kill", 40, "-seed", seed, "-passes", 160, "-out", out, dir)

	p := start(t, command...)
	if !p.until(10) { // recoveries: it has snapshots by then, and three quarters to go
		t.Fatalf("it ended too early, or does not run at all:\n%s", p.story.String())
	}
	p.kill()

	p = start(t, command...)
	o, story := p.exactly(0, out, want)
	if !o.Resumed || !strings.Contains(story, "\nresumed ") {
		t.Errorf("it does not say that it resumed:\n%s", story)
	}

	o, story = start(t, command...).exactly(0, out, want)
	if !o.Resumed || !strings.Contains(story, "\nresumed   100 %") {
		t.Errorf("it does not say that all was read:\n%s", story)
	}
}

func TestInterrupted(t *testing.T) {
	dir, _ := text(t, newSeed(t), 1<<20, 1)
	p := start(t, args("-passes", 100_000, "-kill", 1000, dir)...)
	if !p.until(1) {
		t.Fatalf("it does not run:\n%s", p.story.String())
	}
	check(t, p.Process.Signal(os.Interrupt))
	status, story := p.end()
	if status != 130 || !strings.Contains(story, "wordcount: interrupted") {
		t.Errorf("exit status %d:\n%s", status, story)
	}
	if left, _ := os.ReadDir(p.temp); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWithoutRecovery(t *testing.T) {
	seed := newSeed(t)
	dir, want := text(t, seed, 2<<20, 1)
	out := filepath.Join(t.TempDir(), "counts")
	start(t, args("-strategy", "none", "-kill", 0, "-out", out, dir)...).exactly(0, out, want)

	o, story := start(t, args("-strategy", "none", "-kill", 6, "-seed", seed, dir)...).result(1)
	if o.Lost == nil || *o.Lost == 0 || !strings.Contains(story, "\nWRONG ") {
		t.Errorf("killed six times, and nothing is said to be lost:\n%s%+v", story, o)
	}
}

// The words of any bytes are counted.
func TestAnyBytes(t *testing.T) {
	seed := newSeed(t)
	r := rand.New(rand.NewPCG(seed, 2))
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(r.Uint32())
	}
	long := bytes.Repeat([]byte("a line of many words "), 5<<20/21)
	word := append(append([]byte("before "), bytes.Repeat([]byte("x"), 3<<20)...), " after"...)
	files := map[string][]byte{
		"binary": noise, "crlf": []byte("one\r\ntwo\r\n\r\nthree\r"), "long line": long, "long word": word,
		"no newline": []byte("one two"), "empty": nil, "only newlines": []byte("\n\n\n"), "nothing but a word": []byte("word"),
	}
	all := t.TempDir()
	var everything []byte
	for name, data := range files {
		path := write(t, filepath.Join(all, name), data)
		everything = append(append(everything, data...), '\n')
		if name == "binary" || name == "long line" {
			continue // with the others
		}
		t.Run(name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "counts")
			start(t, args("-kill", 0, "-out", out, path)...).exactly(0, out, count(data, 1))
		})
	}
	out := filepath.Join(t.TempDir(), "counts")
	start(t, args("-kill", 3, "-seed", seed, "-out", out, all)...).exactly(3, out, count(everything, 1))
}

// A command that cannot be carried out ends with one line that names the reason.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	file := write(t, filepath.Join(dir, "a.txt"), []byte("a word"))
	empty := t.TempDir()
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"a path that is not there", args(dir + "/nothing"), dir + "/nothing"},
		{"a directory without files", args(empty), empty},
		{"a glob that is wrong", args(dir + "/[a"), "[a"},
		{"a directory that is a file", args("-dir", file, file), file},
		{"a server that is not there", args("-server", fmt.Sprintf("nats://127.0.0.1:%d", natstest.FreePort(t)), file), "127.0.0.1"},
		{"a server that is no URL", args("-server", "::", file), "::"},
		{"an unknown strategy", args("-strategy", "hope", file), "hope"},
		{"an unknown flag", args("-nonsense", file), "-nonsense"},
		{"a number that is none", args("-kill", "many", file), "many"},
		{"fewer kills than none", args("-kill", -1, file), "-kill"},
		{"no passes", args("-passes", 0, file), "-passes"},
		{"no tasks", args("-parallel", 0, file), "parallel"},
		{"a server and a directory", args("-server", "nats://127.0.0.1:1", "-dir", dir, file), "-dir"},
		{"a directory, and nothing to keep there", args("-strategy", "none", "-dir", dir, file), "-dir"},
		{"an output file in no directory", args("-kill", 0, "-out", dir+"/nothing/counts", file), dir + "/nothing"},
		{"a profile in no directory", args("-cpuprofile", dir+"/nothing/cpu", file), dir + "/nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := start(t, c.args...)
			status, story := p.end()
			if status != 2 || !strings.Contains(story, c.says) || strings.Contains(story, "goroutine ") || p.out.Len() > 0 {
				t.Errorf("exit status %d, wants to name %q:\n%s%s", status, c.says, story, p.out.String())
			}
			if left, _ := os.ReadDir(p.temp); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestDirectoryInUse(t *testing.T) {
	dir, _ := text(t, newSeed(t), 1<<20, 1)
	log := t.TempDir()
	first := start(t, args("-dir", log, "-passes", 100_000, "-kill", 1000, dir)...)
	if !first.until(1) {
		t.Fatalf("it does not run:\n%s", first.story.String())
	}
	status, story := start(t, args("-dir", log, dir)...).end()
	if status != 2 || !strings.Contains(story, log) || !strings.Contains(story, "in use") {
		t.Errorf("exit status %d:\n%s", status, story)
	}
}

func TestOtherInputInTheSameDirectory(t *testing.T) {
	seed := newSeed(t)
	dir, want := text(t, seed, 1<<20, 1)
	log, out := t.TempDir(), filepath.Join(t.TempDir(), "counts")
	start(t, args("-dir", log, "-kill", 0, "-out", out, dir)...).exactly(0, out, want)
	write(t, filepath.Join(dir, "0.txt"), []byte("changed"))
	status, story := start(t, args("-dir", log, "-kill", 0, dir)...).end()
	if status == 0 || !strings.Contains(story, "wordcount:") {
		t.Errorf("the input has changed, and the exit status is %d:\n%s", status, story)
	}
}

func TestHelp(t *testing.T) {
	p := start(t, "-help")
	status, story := p.end()
	if help := p.out.String(); status != 0 || !strings.Contains(help, "Usage: wordcount") || !strings.Contains(help, "-strategy") {
		t.Errorf("exit status %d:\n%s%s", status, story, help)
	}
}
