package askback

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/strategy"
)

// An Option sets something of a run.
type Option func(*config)

// A Durability says what a run's log survives.
type Durability = natslog.Durability

// The durabilities.
const (
	Process = natslog.Process // any crash of processes, the NATS server included
	Power   = natslog.Power   // a power cut as well
)

type config struct {
	server      string
	dir         string
	keep        bool
	prefix      string
	strategy    strategy.Strategy
	durability  Durability
	settings    recovery.Config
	frameSize   int
	maxPayload  int
	kills       int
	pairs       bool
	seed        uint64
	log         *zap.Logger
	onProgress  func(Progress)
	onRecovery  func(task.Recovery)
	onEvent     func(natschan.Event)
	onLost      func(task.GivenUp)
	stopTimeout time.Duration
	onLatency   func(time.Duration)
	onControl   func(*Control)
}

func defaults() config {
	return config{
		prefix: "askback", durability: Process, log: zap.NewNop(), stopTimeout: 10 * time.Second,
		// On a busy machine an answer may take some hundred milliseconds. Asking again sooner would only have the
		// same frames sent twice.
		settings: recovery.Config{RetryEvery: 1000, RetryMax: 4000},
	}
}

// configured returns the defaults changed by options.
func configured(options []Option) config {
	c := defaults()
	for _, o := range options {
		o(&c)
	}
	return c
}

// check finds options that contradict each other.
func (c *config) check() error {
	switch {
	case c.server != "" && c.dir != "":
		return fmt.Errorf("askback: a server (%s) keeps its own store, so a directory (%s) cannot be given with it", c.server, c.dir)
	case c.stopTimeout <= 0:
		return fmt.Errorf("askback: stop timeout %v: want more than nothing", c.stopTimeout)
	case c.kills < 0:
		return fmt.Errorf("askback: %d kills: want none or more", c.kills)
	}
	return nil
}

// WithServer runs on the NATS server at a URL instead of an embedded one.
func WithServer(url string) Option { return func(c *config) { c.server = url } }

// WithDir keeps the embedded server's store in a directory: the same topology run there again resumes where the
// last run ended, however it ended.
func WithDir(dir string) Option { return func(c *config) { c.dir = dir } }

// WithKeep leaves the topology's log on the server given by WithServer when the run ends, and resumes from one
// that is there.
func WithKeep() Option { return func(c *config) { c.keep = true } }

// WithPrefix sets the prefix of all NATS subjects and streams. Default "askback".
func WithPrefix(prefix string) Option { return func(c *config) { c.prefix = prefix } }

// WithStrategy sets the recovery strategy. Default strategy.Backtrack.
func WithStrategy(s strategy.Strategy) Option { return func(c *config) { c.strategy = s } }

// WithDurability sets what the log survives. Default Process.
func WithDurability(d Durability) Option { return func(c *config) { c.durability = d } }

// WithSettings sets bounds and delays of the recovery strategy; what is zero keeps its default.
func WithSettings(s recovery.Config) Option {
	return func(c *config) {
		if s.RetryEvery == 0 && s.RetryMax == 0 {
			s.RetryEvery, s.RetryMax = c.settings.RetryEvery, c.settings.RetryMax
		}
		c.settings = s
	}
}

// WithFrameSize sets how many bytes make a full frame. Default 16 KiB.
func WithFrameSize(bytes int) Option { return func(c *config) { c.frameSize = bytes } }

// WithMaxPayload sets the longest message of the embedded server in bytes. Default 1 MiB.
func WithMaxPayload(bytes int) Option { return func(c *config) { c.maxPayload = bytes } }

// WithKills kills n random tasks while the topology runs, spread over the progress of its spouts, as a crash
// would: state and buffers are dropped. The seed chooses the tasks.
func WithKills(n int, seed uint64) Option { return func(c *config) { c.kills, c.seed = n, seed } }

// WithPairs makes WithKills kill a task together with one of its sources.
func WithPairs() Option { return func(c *config) { c.pairs = true } }

// WithLogger sets where the runtime logs. Default: nowhere.
func WithLogger(l *zap.Logger) Option { return func(c *config) { c.log = l } }

// OnProgress is told how far the run is, a few times a second, and once at its end.
func OnProgress(f func(Progress)) Option { return func(c *config) { c.onProgress = f } }

// OnRecovery is told of each recovery when the task has caught up. It must not block.
func OnRecovery(f func(task.Recovery)) Option { return func(c *config) { c.onRecovery = f } }

// OnEvent is told what happens to the connections to the server. It must not block.
func OnEvent(f func(natschan.Event)) Option { return func(c *config) { c.onEvent = f } }

// OnLost is called for each tuple that an operator could not process and whose loss its policy declares (DeadLetter or
// Drop), also when a restored task repeats that. It must not block.
func OnLost(f func(task.GivenUp)) Option { return func(c *config) { c.onLost = f } }

// WithStopTimeout sets how long Run waits, after the run was stopped, for operators to return from their calls. Default
// 10 s. Operators that have not returned by then are named by a *StuckError.
func WithStopTimeout(d time.Duration) Option { return func(c *config) { c.stopTimeout = d } }

// OnLatency is told by sinks how old the roots of a consumed frame are. It must not block.
func OnLatency(f func(time.Duration)) Option { return func(c *config) { c.onLatency = f } }

// WithControl hands over the control of the topology when its tasks are about to start. F must not block.
func WithControl(f func(*Control)) Option { return func(c *config) { c.onControl = f } }
