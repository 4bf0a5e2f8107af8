package askback

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/askback/askback/internal/inject"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/strategy"
)

// An Option sets something of a run. Run rejects a value that makes no sense with an error that names the option.
type Option func(*config)

// A Durability is what a run's log survives.
type Durability string

// The durabilities.
const (
	Process Durability = "process" // any crash of processes, the NATS server included
	Power   Durability = "power"   // a power cut as well
)

// config is what options set. Sizes and times are as given; 0 stands for the default.
type config struct {
	server     string
	dir        string
	keep       bool
	prefix     string
	strategy   strategy.Strategy
	durability Durability
	log        *slog.Logger
	faults     inject.Faults

	window, retainSoft, retainHard int
	frameSize, maxPayload          int
	ackWindow, maxPending          int

	snapshotEvery        time.Duration
	retryEvery, retryMax time.Duration
	messageTimeout       time.Duration
	stopTimeout          time.Duration

	onProgress func(Progress)
	onRecovery func(Recovery)
	onEvent    func(Event)
	onLost     func(GivenUp)
	onLatency  func(time.Duration)
}

// configured returns the defaults changed by options.
func configured(options []Option) *config {
	c := &config{prefix: "askback", durability: Process, stopTimeout: 10 * time.Second, log: slog.New(slog.DiscardHandler)}
	for _, o := range options {
		if o != nil {
			o(c)
		}
	}
	return c
}

// check finds values that make no sense, and options that contradict each other. It returns all of them, joined.
func (c *config) check() error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf("askback: "+format, args...)) }
	if !c.strategy.Valid() {
		wrong("WithStrategy(%v): unknown strategy; take one of package strategy", c.strategy)
	}
	if c.durability != Process && c.durability != Power {
		wrong("WithDurability(%.80q): there are %q and %q", string(c.durability), Process, Power)
	}
	if c.server != "" && c.dir != "" {
		wrong("a server (%s) keeps its own store, so a directory (%s) cannot be given with it", c.server, c.dir)
	}
	if c.keep && c.server == "" {
		wrong("WithKeep is for WithServer; the server in this process keeps its log with WithDir")
	}
	for _, o := range []struct {
		option string
		value  int
		least  int
	}{
		{"WithWindow", c.window, 1}, {"WithRetention: soft", c.retainSoft, 1}, {"WithRetention: hard", c.retainHard, 1},
		{"WithFrameSize", c.frameSize, 1}, {"WithMaxPayload", c.maxPayload, 1},
		{"WithAckWindow", c.ackWindow, 1}, {"WithMaxPending", c.maxPending, 1}, {"faults.Kill", c.faults.Kills, 0},
	} {
		if o.value != 0 && o.value < o.least {
			wrong("%s: %d: want %d or more", o.option, o.value, o.least)
		}
	}
	if c.retainSoft > 0 && c.retainHard > 0 && c.retainSoft > c.retainHard {
		wrong("WithRetention: the soft bound of %d bytes is above the hard one of %d", c.retainSoft, c.retainHard)
	}
	for _, o := range []struct {
		option string
		value  time.Duration
	}{
		{"WithSnapshotEvery", c.snapshotEvery}, {"WithRetryEvery: first", c.retryEvery}, {"WithRetryEvery: longest", c.retryMax},
		{"WithMessageTimeout", c.messageTimeout}, {"WithStopTimeout", c.stopTimeout},
	} {
		if o.value != 0 && o.value < time.Millisecond {
			wrong("%s: %v: want 1ms or more", o.option, o.value)
		}
	}
	if c.stopTimeout == 0 {
		wrong("WithStopTimeout: 0: want 1ms or more")
	}
	return errors.Join(errs...)
}

// settings returns what the machines of the strategy are set to.
func (c *config) settings() recovery.Config {
	tick := func(d time.Duration) recovery.Tick { return recovery.Tick(d.Milliseconds()) }
	s := recovery.Config{
		Window: c.window, SoftBound: c.retainSoft, HardBound: c.retainHard, AckWindow: c.ackWindow, MaxPending: c.maxPending,
		SnapshotEvery: tick(c.snapshotEvery), RetryEvery: tick(c.retryEvery), RetryMax: tick(c.retryMax),
		MessageTimeout: tick(c.messageTimeout),
	}
	// On a busy machine an answer may take some hundred milliseconds. Asking again sooner would only have the same
	// frames sent twice.
	if s.RetryEvery == 0 {
		s.RetryEvery = 1000
	}
	if s.RetryMax == 0 {
		s.RetryMax = max(4000, s.RetryEvery)
	}
	return s
}

// WithServer runs on the NATS server at a URL, which needs JetStream, instead of an embedded one.
func WithServer(url string) Option { return func(c *config) { c.server = url } }

// WithDir keeps the embedded server's store in a directory, which is made if need be: the same topology run there again
// resumes where the last run ended, however it ended. Default: a temporary directory, removed at the end.
func WithDir(dir string) Option { return func(c *config) { c.dir = dir } }

// WithKeep leaves the topology's log on the server given by WithServer when the run ends, and resumes from one that is
// there. Default: the log is deleted at the beginning and at the end.
func WithKeep() Option { return func(c *config) { c.keep = true } }

// WithPrefix sets the prefix of all NATS subjects and streams: names separated by dots. Default "askback".
func WithPrefix(prefix string) Option { return func(c *config) { c.prefix = prefix } }

// WithStrategy sets the recovery strategy. Default strategy.Backtrack.
func WithStrategy(s strategy.Strategy) Option { return func(c *config) { c.strategy = s } }

// WithDurability sets what the log survives. Default Process.
func WithDurability(d Durability) Option { return func(c *config) { c.durability = d } }

// WithSnapshotEvery sets the interval at which sinks start a wave of snapshots, or at which strategy.Barrier takes
// checkpoints. A longer one costs less, and makes a restored task repeat more. Default 1 s.
func WithSnapshotEvery(d time.Duration) Option { return func(c *config) { c.snapshotEvery = d } }

// WithWindow sets how many bytes a source may be ahead of what its target has consumed, for each channel. Default 1 MiB.
func WithWindow(bytes int) Option { return func(c *config) { c.window = bytes } }

// WithRetention bounds what each task keeps in memory to send again. Above soft bytes it urges its targets to take
// snapshots, after which it may forget; above hard bytes it takes no more input until it has forgotten some. Defaults
// 2 MiB and 64 MiB; 0 keeps a default.
func WithRetention(soft, hard int) Option {
	return func(c *config) { c.retainSoft, c.retainHard = soft, hard }
}

// WithRetryEvery sets how long an ASK may remain without effect before it is repeated: first at the beginning, doubling up
// to longest. Both belong well above the time that the network and a busy machine take to answer. Defaults 1 s and 4 s;
// 0 keeps a default.
func WithRetryEvery(first, longest time.Duration) Option {
	return func(c *config) { c.retryEvery, c.retryMax = first, longest }
}

// WithAckWindow sets how many tuples of a channel may be on their way unacknowledged under strategy.Ack. Default 1.
func WithAckWindow(tuples int) Option { return func(c *config) { c.ackWindow = tuples } }

// WithMaxPending sets how many tuples of each spout task may be on their way under strategy.Acker before the spout is not
// polled any more. Default 100,000.
func WithMaxPending(tuples int) Option { return func(c *config) { c.maxPending = tuples } }

// WithMessageTimeout sets how long all that comes of a spout's tuple may take to be processed under strategy.Acker before
// the spout emits the tuple again. Default 30 s.
func WithMessageTimeout(d time.Duration) Option { return func(c *config) { c.messageTimeout = d } }

// WithFrameSize sets how many bytes make a full frame, which is what travels in one message. A larger one costs less for
// each tuple. Default 16 KiB.
func WithFrameSize(bytes int) Option { return func(c *config) { c.frameSize = bytes } }

// WithMaxPayload sets the longest message of the embedded server in bytes, and with it the longest tuple. Default 1 MiB.
func WithMaxPayload(bytes int) Option { return func(c *config) { c.maxPayload = bytes } }

// WithLogger sets where the runtime logs. Default: nowhere.
func WithLogger(l *slog.Logger) Option {
	return func(c *config) {
		if l != nil {
			c.log = l
		}
	}
}

// OnProgress calls f with how far the run is, ten times a second, and once at its end. F must not block.
func OnProgress(f func(Progress)) Option { return func(c *config) { c.onProgress = f } }

// OnRecovery calls f for each recovery, when the task has caught up. F must not block.
func OnRecovery(f func(Recovery)) Option { return func(c *config) { c.onRecovery = f } }

// OnEvent calls f for what happens to the connections to the server. F must not block.
func OnEvent(f func(Event)) Option { return func(c *config) { c.onEvent = f } }

// OnLost calls f for each tuple that an operator could not process and whose loss its policy declares (DeadLetter or
// Drop), also when a restored task repeats that. F must not block.
func OnLost(f func(GivenUp)) Option { return func(c *config) { c.onLost = f } }

// WithStopTimeout sets how long Run waits, after the run was stopped, for operators to return from their calls. Operators
// that have not returned by then are named by a *StuckError. Default 10 s.
func WithStopTimeout(d time.Duration) Option { return func(c *config) { c.stopTimeout = d } }

// OnLatency calls f, from the goroutines of sinks, with the age of the oldest root of each frame that they consumed. F
// must not block.
func OnLatency(f func(time.Duration)) Option { return func(c *config) { c.onLatency = f } }

// Package faults and benchmarks reach a run by this option.
func init() {
	inject.Option = func(set func(*inject.Faults)) any { return Option(func(c *config) { set(&c.faults) }) }
}
