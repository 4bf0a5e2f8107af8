package wordcheck

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/strategy"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/topology"
)

const usage = `Usage: wordcount [flags] [path ...]

Counts the words (maximal runs of A-Z a-z 0-9 _) of files, of all files below directories, or of what globs
match; by default of the .go files of Go's own source tree. Some of the running tasks are killed meanwhile. Each
is restored alone, asks its sources for exactly what it missed, and the result is checked against a plain
sequential count: the exit status is 1 if anything was lost or duplicated.

In a cluster ("askback submit wordcount -- -out DIR path ...") nothing is killed or checked, and the counts appear in
-out, in no order, when all is read. One task reads all files there, where otherwise each task of split reads its own
share. The flags -strategy, -parallel, -passes, -rate, -frame and -out count there.

Flags:
`

// settings are the command line.
type settings struct {
	paths     []string
	kills     int
	pairs     bool
	seed      uint64
	strategy  strategy.Strategy
	parallel  int
	passes    int
	rate      float64
	out       string
	server    string
	dir       string
	json      bool
	verify    bool
	profile   string
	frameSize int
}

// A Config is what a word count is made of.
type Config struct {
	Lines    stream.Source[files.Line]
	Readers  int                // tasks that read lines
	Parallel int                // tasks of each step that may have several
	Result   stream.Sink[Total] // receives each word once, with its total
}

// A Topology makes a word count.
type Topology func(Config) topology.Topology

// Main runs the word count with the arguments of the process, and exits unless all went well. The exit status is 1 if the
// counts are wrong, 2 if there are none, and 130 if the run was interrupted.
func Main(count Topology) {
	s, err := parse(os.Args[1:])
	if err == nil && askback.InCluster() {
		err = work(count, s)
	} else if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		err = run(ctx, count, s)
		stop()
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errWrong):
		os.Exit(1)
	case errors.Is(err, context.Canceled):
		if s.dir != "" {
			fmt.Fprintln(os.Stderr, "wordcount: interrupted; run the same command again to go on from here")
		} else {
			fmt.Fprintln(os.Stderr, "wordcount: interrupted")
		}
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, "wordcount:", err)
		os.Exit(2)
	}
}

func parse(args []string) (*settings, error) {
	s := &settings{}
	f := flag.NewFlagSet("wordcount", flag.ContinueOnError)
	f.SetOutput(io.Discard) // Main prints the error
	f.IntVar(&s.kills, "kill", 3, "how many running tasks to kill, spread over the input")
	f.BoolVar(&s.pairs, "pairs", false, "kill a task together with one of its sources, each time")
	f.Uint64Var(&s.seed, "seed", 0, "seed that chooses the tasks to kill (default: the time)")
	chosen := f.String("strategy", s.strategy.String(), "recovery strategy: "+strings.Join(strategy.Names(), ", ")+" (only backtrack and barrier lose nothing that was counted)")
	f.IntVar(&s.parallel, "parallel", 2, "tasks of split and of count, each")
	f.IntVar(&s.passes, "passes", 1, "how many times to read the input")
	f.StringVar(&s.out, "out", "", "file to write the counts to, word<TAB>count, sorted by bytes; of a directory, its file counts")
	f.Float64Var(&s.rate, "rate", 0, "lines to read in a second (default: as many as can be)")
	f.StringVar(&s.server, "server", "", "URL of a NATS server with JetStream, such as nats://127.0.0.1:4222 (default: one in this process)")
	f.StringVar(&s.dir, "dir", "", "directory that keeps the log: after a kill -9 the same command goes on where it was")
	f.BoolVar(&s.json, "json", false, "end with one line of JSON, and print nothing else to standard output")
	noVerify := f.Bool("no-verify", false, "do not check against a sequential count")
	f.StringVar(&s.profile, "cpuprofile", "", "file to write a CPU profile of the run to")
	f.IntVar(&s.frameSize, "frame", 0, "bytes of a full frame (default 16384)")
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		f.SetOutput(os.Stdout)
		fmt.Print(usage)
		f.PrintDefaults()
		return s, err
	case err != nil:
		return s, fmt.Errorf("%w; -help lists the flags", err)
	}
	var err error
	if s.strategy, err = strategy.Named(*chosen); err != nil {
		return s, fmt.Errorf("-strategy: %w", err)
	}
	if s.seed == 0 {
		s.seed = uint64(time.Now().UnixNano())
	}
	s.verify = !*noVerify
	s.paths = f.Args()
	if info, err := os.Stat(s.out); err == nil && info.IsDir() {
		s.out = filepath.Join(s.out, "counts")
	}
	switch {
	case s.kills < 0:
		return s, fmt.Errorf("-kill %d: want 0 or more", s.kills)
	case s.parallel < 1:
		return s, fmt.Errorf("-parallel %d: want 1 or more", s.parallel)
	case s.passes < 1:
		return s, fmt.Errorf("-passes %d: want 1 or more", s.passes)
	case s.rate < 0:
		return s, fmt.Errorf("-rate %g: want 0 or more", s.rate)
	case s.server != "" && s.dir != "":
		return s, errors.New("-dir is for the server in this process; a server given by -server keeps its own store")
	case s.strategy == strategy.None && s.dir != "":
		return s, errors.New("-dir keeps the log of a strategy that has one; strategy none has none")
	}
	return s, nil
}

const (
	// Words of many megabytes travel whole, as far as messages can carry them.
	payload       = 32 << 20
	serverPayload = 1 << 20 // of a NATS server that is not configured otherwise
	room          = 64 << 10
)

// run counts, shows the progress, and checks. It returns errWrong if the counts are.
func run(ctx context.Context, count Topology, s *settings) error {
	lines, err := input(s)
	if err != nil {
		return err
	}
	files, bytes, err := lines.files.Total()
	if err != nil {
		return err
	}
	var result newest
	t := count(Config{Lines: lines, Readers: s.parallel, Parallel: s.parallel, Result: &result})
	plan, err := t.Builder().Build()
	if err != nil {
		return err
	}
	ui := newUI(s, plan, files, bytes*int64(s.passes))
	stopProfile, err := startProfile(s.profile)
	if err != nil {
		return err
	}
	options := []askback.Option{
		askback.WithStrategy(s.strategy), faults.Kill(s.kills, s.seed),
		askback.WithMaxPayload(payload), askback.WithFrameSize(s.frameSize),
		askback.WithServer(s.server), askback.WithDir(s.dir),
		askback.OnProgress(ui.progress), askback.OnRecovery(ui.recovery), askback.OnEvent(ui.event),
	}
	if s.pairs {
		options = append(options, faults.KillPairs(s.kills, s.seed))
	}
	report, err := askback.Run(ctx, t, options...)
	stopProfile()
	ui.finish()
	if err != nil {
		return err
	}
	counts := result.Load().counts()
	o := summarize(s, report, counts)
	o.Files, o.Bytes = files, bytes
	if s.out != "" {
		if err := writeCounts(s.out, counts); err != nil {
			return err
		}
	}
	if s.verify {
		want, err := sequential(s)
		if err != nil {
			return fmt.Errorf("verify: %w", err)
		}
		o.compare(counts, want)
	}
	ui.result(o, report, counts)
	if s.json {
		line, err := json.Marshal(o)
		if err != nil {
			return err
		}
		fmt.Println(string(line))
	}
	if o.wrong() {
		return errWrong
	}
	return nil
}

// work is what a cluster runs. It returns only if it cannot.
func work(count Topology, s *settings) error {
	if s.out == "" {
		return errors.New("-out is missing: a cluster needs to know where the counts are to appear, on the host that runs the task result or on a disk that all share")
	}
	lines, err := input(s)
	if err != nil {
		return err
	}
	// One task reads, so that only its host needs the files.
	t := count(Config{Lines: lines, Readers: 1, Parallel: s.parallel, Result: files.Sink[Total](s.out, files.Single())})
	askback.RunIfWorker(t, askback.WithStrategy(s.strategy), askback.WithFrameSize(s.frameSize))
	return nil
}

// errWrong: the counts are not those of the sequential count.
var errWrong = errors.New("wrong counts")

// input makes the source of lines.
func input(s *settings) (lines, error) {
	piece := payload - room
	if s.server != "" || askback.InCluster() {
		piece = serverPayload - room
	}
	var source *files.Source[stream.Reader[files.Line]]
	if len(s.paths) > 0 {
		source = files.Lines(s.paths...)
	} else {
		root, err := goRoot()
		if err != nil {
			return lines{}, err
		}
		source = files.Lines(root).Match("**/*.go")
	}
	return lines{source.Cut(64<<10, cutBetweenWords).MaxPiece(piece), s.passes, s.rate}, nil
}

// ordinal returns "1st", "2nd", "3rd", "4th" …
func ordinal(n int) string {
	suffix := "th"
	if n%100 < 11 || n%100 > 13 {
		switch n % 10 {
		case 1:
			suffix = "st"
		case 2:
			suffix = "nd"
		case 3:
			suffix = "rd"
		}
	}
	return fmt.Sprintf("%d%s", n, suffix)
}

// grouped returns a number with a comma between each three digits.
func grouped[N int | int64 | uint64](n N) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// short cuts a word for display.
func short(word string) string {
	word = strings.ToValidUTF8(word, "?")
	if len(word) > 40 {
		return word[:37] + "..."
	}
	return word
}
