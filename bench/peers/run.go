package peers

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// A Spec is one run of one system.
type Spec struct {
	System string // Storm or Flink
	Dir    string // where Build has built it; default: that of Dir

	Workload string        // relay, wordcount or keyed
	Input    string        // the file that wordcount reads
	Parallel int           // tasks of each bolt or operator; default 2
	Duration time.Duration // of the measurement; default 10 s
	Warmup   time.Duration // before it; default 10 s, since Java compiles while it runs
	Sample   time.Duration // from one Sample to the next; default 1 s
	Rate     float64       // tuples a second that the sources emit; default: as many as go. Latency is measured only with one.
	Seed     int64         // of the keys; default 1

	// KillAt is when, after the warm-up, a task is killed; default: never. Detect is how long it is dead before
	// anything is done about it, as the heartbeats of a cluster would have it.
	KillAt, Detect time.Duration

	// Mode is acked or unacked for Storm, chained or unchained for Flink; default acked and chained.
	Mode string

	// Storm's own.
	Spouts     int // default 1
	Ackers     int // default 1
	MaxPending int // tuples that a spout may have out unacknowledged; default 5000
	Batch      int // tuples that a task hands on at once; default 1000

	// Flink's own.
	NoCheckpoints bool          // without them there is no guarantee
	Checkpoint    time.Duration // from one checkpoint to the next; default 1 s
	BufferTimeout time.Duration // how long a record may wait for its buffer to fill; default 100 ms, negative: not at all
	TaskManagers  int           // with more than one, records between them go through TCP; default 1

	Heap string   // the most that Java may use for objects, as in -Xmx; default 4g
	JVM  []string // further flags of the virtual machine
}

// A Sample is how far a run has come.
type Sample struct {
	T           float64 `json:"t"`           // seconds since the warm-up
	Tuples      int64   `json:"tuples"`      // given to the last bolts since the warm-up, again and again ones too
	Reprocessed int64   `json:"reprocessed"` // how many of them were known by then to have been given again after a rollback
	CPUMillis   int64   `json:"cpu_ms"`      // processor time since the warm-up
}

// A Result is what was measured after the warm-up.
type Result struct {
	System          string  `json:"system"`
	Version         string  `json:"version"`
	Workload        string  `json:"workload"`
	Mode            string  `json:"mode"`
	Guarantee       string  `json:"guarantee"` // the system's promise in this mode
	Tuples          int64   `json:"tuples"`    // given to the last bolts, but not again after a rollback
	Seconds         float64 `json:"seconds"`
	TuplesPerSecond float64 `json:"tuples_per_second"`
	CPUNanos        float64 `json:"cpu_ns_per_tuple"`
	RSSBytes        int64   `json:"rss_bytes"`

	// Microseconds from when a tuple was due to when the last bolt had it. Only with a rate.
	P50  *float64 `json:"latency_p50_us,omitempty"`
	P99  *float64 `json:"latency_p99_us,omitempty"`
	P999 *float64 `json:"latency_p999_us,omitempty"`
	Max  *float64 `json:"latency_max_us,omitempty"`

	// TimedOut counts tuples of sources that were not acknowledged in time and are emitted again. Many of them
	// without a kill mean that MaxPending is more than the machine can do within Detect.
	TimedOut int64 `json:"timed_out,omitempty"`

	Recovery *Recovery `json:"recovery,omitempty"` // only with a kill
}

// A Recovery is what became of a killed task. Times are milliseconds since the kill. A figure
// that the system does not report, or that was not reached before the run ended, is nil.
type Recovery struct {
	Detect      *float64 `json:"detect_ms,omitempty"`       // the system stopped the first task for it
	Resume      *float64 `json:"resume_ms,omitempty"`       // the first output after the task was back
	RateBack    *float64 `json:"rate_back_ms,omitempty"`    // a quarter of a second begins with nine tenths of the rate before
	BacklogGone *float64 `json:"backlog_gone_ms,omitempty"` // all that the kill had undone was done again
	Reprocessed *int64   `json:"reprocessed,omitempty"`     // tuples given again to the last bolts after a rollback
	Replayed    *int64   `json:"replayed,omitempty"`        // tuples that sources emitted again after the kill
	NotYet      *int64   `json:"not_yet_redone,omitempty"`  // how many of those were still under way at the end
	Dropped     *int64   `json:"dropped,omitempty"`         // tuples that were given to the dead task
}

// opened are what the systems reach into by reflection, and modules of Java 17 keep closed.
var opened = map[string][]string{
	Storm: {"java.base/java.lang", "java.base/java.util"},
	Flink: {"java.base/java.lang", "java.base/java.util", "java.base/java.nio", "java.base/java.time"},
}

// Run runs a system's program to its end and returns the result. Run calls onSample, which may be nil, with its
// progress, on the goroutine of the caller.
func Run(ctx context.Context, spec Spec, onSample func(Sample)) (Result, error) {
	dir, err := known(spec.System, spec.Dir)
	if err != nil {
		return Result{}, err
	}
	spec.Dir = dir
	if _, err := os.Stat(built(spec.System, spec.Dir)); err != nil {
		return Result{}, fmt.Errorf("peers: %s is not built in %s; call Build first", spec.System, spec.Dir)
	}
	java, err := findJava()
	if err != nil {
		return Result{}, err
	}
	// Both systems leave files behind when they are stopped at once, which they are.
	scratch, err := os.MkdirTemp("", "askback-peers-")
	if err != nil {
		return Result{}, fmt.Errorf("peers: %w", err)
	}
	defer os.RemoveAll(scratch)

	cmd := exec.CommandContext(ctx, java, spec.command(scratch)...)
	cmd.WaitDelay = 5 * time.Second
	var log tail
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Result{}, fmt.Errorf("peers: run %s: %w", spec.System, err)
	}
	if err := cmd.Start(); err != nil {
		return Result{}, fmt.Errorf("peers: run %s: %w", spec.System, err)
	}
	result, err := read(out, onSample)
	if err != nil {
		cmd.Process.Kill() // it may go on printing for ever
	}
	waited := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("peers: run %s: %w", spec.System, ctx.Err())
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return Result{}, fmt.Errorf("peers: run %s: %w", spec.System, err)
	case err != nil || waited != nil:
		return Result{}, fmt.Errorf("peers: run %s: %w\n%s", spec.System, cmp.Or(waited, err), lastLines(log.end))
	}
	return result, nil
}

func findJava() (string, error) {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		java, err := exec.LookPath(filepath.Join(home, "bin", "java"))
		if err != nil {
			return "", fmt.Errorf("%w; JAVA_HOME is %s", ErrNoJava, home)
		}
		return java, nil
	}
	java, err := exec.LookPath("java")
	if err != nil {
		return "", ErrNoJava
	}
	return java, nil
}

// command returns the arguments of java.
func (s Spec) command(scratch string) []string {
	args := []string{"-Xmx" + cmp.Or(s.Heap, "4g"), "-Djava.io.tmpdir=" + scratch}
	for _, of := range opened[s.System] {
		args = append(args, "--add-opens", of+"=ALL-UNNAMED")
	}
	args = append(args, s.JVM...)
	classes := filepath.Join(s.Dir, s.System, "target", "classes")
	libraries := filepath.Join(s.Dir, s.System, "target", "lib", "*")
	args = append(args, "-cp", classes+string(filepath.ListSeparator)+libraries, "askback.peers."+s.System+".Main")

	option := func(name, value string) { args = append(args, "--"+name, value) }
	number := func(name string, n int64) { option(name, strconv.FormatInt(n, 10)) }
	seconds := func(name string, d time.Duration) {
		option(name, strconv.FormatFloat(d.Seconds(), 'f', -1, 64))
	}
	option("workload", s.Workload)
	option("input", s.Input)
	number("parallel", int64(cmp.Or(s.Parallel, 2)))
	seconds("duration", cmp.Or(s.Duration, 10*time.Second))
	seconds("warmup", cmp.Or(s.Warmup, 10*time.Second))
	number("sample-ms", cmp.Or(s.Sample, time.Second).Milliseconds())
	option("rate", strconv.FormatFloat(s.Rate, 'f', -1, 64))
	number("seed", cmp.Or(s.Seed, 1))
	seconds("kill-at", s.KillAt)
	number("detect", s.Detect.Milliseconds())
	if s.System == Storm {
		option("mode", cmp.Or(s.Mode, "acked"))
		number("spouts", int64(cmp.Or(s.Spouts, 1)))
		number("ackers", int64(cmp.Or(s.Ackers, 1)))
		number("max-pending", int64(cmp.Or(s.MaxPending, 5000)))
		number("batch", int64(cmp.Or(s.Batch, 1000)))
		return args
	}
	option("mode", cmp.Or(s.Mode, "chained"))
	option("guarantee", "exactly-once")
	if s.NoCheckpoints {
		args[len(args)-1] = "none"
	}
	number("checkpoint-ms", cmp.Or(s.Checkpoint, time.Second).Milliseconds())
	number("buffer-ms", max(0, cmp.Or(s.BufferTimeout, 100*time.Millisecond).Milliseconds()))
	number("task-managers", int64(cmp.Or(s.TaskManagers, 1)))
	return args
}

// read reads what a program prints: samples, and at last the result, which is the line that names its system.
func read(out io.Reader, onSample func(Sample)) (Result, error) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var result Result
		if err := parse(lines.Bytes(), &result); err != nil {
			return Result{}, err
		}
		if result.System != "" {
			_, err := io.Copy(io.Discard, out)
			return result, err
		}
		var sample Sample
		if err := parse(lines.Bytes(), &sample); err != nil {
			return Result{}, err
		}
		if onSample != nil {
			onSample(sample)
		}
	}
	return Result{}, cmp.Or(lines.Err(), io.ErrUnexpectedEOF)
}

func parse(line []byte, into any) error {
	if err := json.Unmarshal(line, into); err != nil {
		return fmt.Errorf("it printed %q, which is no figure: %w", line, err)
	}
	return nil
}

// A tail keeps the end of what is written to it: a log may be long, and its end names the error.
type tail struct{ end []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 64 << 10
	t.end = append(t.end, p...)
	if extra := len(t.end) - most; extra > 0 {
		t.end = bytes.Clone(t.end[extra:])
	}
	return len(p), nil
}
