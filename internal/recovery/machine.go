package recovery

import (
	"github.com/askback/askback/msgid"
)

// A Tick is a moment: milliseconds since the task began, as its caller counts them.
type Tick uint64

// A Machine is the recovery strategy of one task. It is not safe for concurrent use.
type Machine interface {
	// Step takes one event and appends to do the actions that it leads to.
	Step(ev Event, do *Actions)
	// Capture appends to dst the machine's part of a snapshot: full, or as an increment to the one before.
	// It is called only on a Freeze or an Upload.
	Capture(dst []byte, full bool) []byte
	// Status returns the machine's account for its caller and observers. It is valid until the next Step.
	Status() *Status
}

// A Factory makes the machine of one task. The history is empty for a task that never ran.
type Factory func(Config, History) (Machine, error)

// A History is the machine's part of the records that a task's earlier incarnations left in the task log.
type History struct {
	Incarnation msgid.Incarnation
	Chain       [][]byte // results of Capture: a full snapshot, then its increments; empty if there is none
	// Determinants are the bodies of the Append actions that may follow the last snapshot, in order.
	Determinants [][]byte
}

// A Port is one end of a virtual channel.
type Port struct {
	Number uint32 // the channel's number in the plan
	ID     msgid.Channel
}

// A Pessimism is how much of a task is written to the log before its outputs are released.
type Pessimism uint8

const (
	Optimistic Pessimism = iota // only determinants are logged
	PerFrame                    // outputs and state change are logged frame by frame
	PerTuple                    // outputs and state change are logged tuple by tuple: the paper's experiment
)

// Config describes the task to its machine. New functions of strategies apply the defaults.
type Config struct {
	Self        msgid.Alias
	Incarnation msgid.Incarnation
	Plan        uint64 // the plan's version
	Inputs      []Port
	Outputs     []Port
	Spout       bool      // it has no inputs and is polled
	Timers      bool      // it is ticked, so its determinants must be recorded even with one input
	Pessimism   Pessimism // Optimistic unless the operator is declared nondeterministic

	// Window is the credit of a channel: how many bytes a source may be ahead of its target's consumed position. Default 1
	// MiB.
	Window int
	// SoftBound is how many retained bytes make a task urge its targets to take a snapshot. Default 2 MiB.
	SoftBound int
	// HardBound is how many retained bytes make a task stop consuming. Default 64 MiB.
	HardBound int
	// SnapshotEvery is the interval, in milliseconds, at which sinks start a wave of snapshots, or a coordinator
	// begins a checkpoint after the last one. Default 1000.
	SnapshotEvery Tick
	// RetryEvery is the first delay, in milliseconds, before an ASK without effect is repeated; it doubles up to
	// RetryMax. Cheaper signals are repeated sooner. Defaults 250 and 2000.
	RetryEvery, RetryMax Tick
	// AckWindow is how many tuples of a channel may be unacknowledged. Only strategy ack waits so. Default 1.
	AckWindow int
	// MarkEvery is the first delay, in milliseconds, before a quiet channel repeats its high-water mark; it
	// doubles up to MarkMax. Defaults 20 and 1000.
	MarkEvery, MarkMax Tick
	// MaxPending is how many tuples of a spout task may be on their way before it is not polled any more, by a
	// strategy that follows them. Default 100,000.
	MaxPending int
	// MessageTimeout is how long, in milliseconds, all that comes of a spout's tuple may take to be processed before
	// it is emitted again, by a strategy that follows it. Default 30,000.
	MessageTimeout Tick
}

// Defaulted returns c with every zero setting replaced by its default.
func (c Config) Defaulted() Config {
	def := func(p *int, v int) {
		if *p == 0 {
			*p = v
		}
	}
	tick := func(p *Tick, v Tick) {
		if *p == 0 {
			*p = v
		}
	}
	def(&c.Window, 1<<20)
	def(&c.SoftBound, 2<<20)
	def(&c.HardBound, 64<<20)
	def(&c.AckWindow, 1)
	tick(&c.SnapshotEvery, 1000)
	tick(&c.RetryEvery, 250)
	tick(&c.RetryMax, 2000)
	tick(&c.MarkEvery, 20)
	tick(&c.MarkMax, 1000)
	def(&c.MaxPending, 100_000)
	tick(&c.MessageTimeout, 30_000)
	return c
}

// A Position is a position in a channel: how many items have passed, and their running checksum.
type Position struct {
	Seq msgid.Seq
	Sum uint32
}

// Status is a machine's account of itself.
type Status struct {
	Wake       Tick       // the next moment at which the machine needs Ticked; 0: none
	Replaying  bool       // it repeats recorded determinants
	Blocked    Output     // the output without credit (or the fullest one at the hard bound), or NoOutput
	Starved    Input      // the input that the determinant log waits for, or NoInput
	ReplayDebt bool       // it regenerates tuples that its targets have consumed before, beyond its bounds if need be
	Finished   bool       // the operator has finished
	Clean      bool       // no message is on its way to it or from it, and a durable snapshot covers all; not every strategy reports it
	Inputs     []Position // consumed, for each input
	Outputs    []Position // emitted, for each output
	Tentative  bool       // its work since the last checkpoint may be rolled back, by a strategy that does so
	Retained   int        // bytes kept for resending
	Queued     int        // bytes received and not consumed
	Waiting    uint64     // tuples asked for that have not come yet
	Counters   Counters
	Recovery   Recovery
}

// Counters count this incarnation's tuples (and marks in the stream), unless a field is documented otherwise.
type Counters struct {
	Consumed   uint64 `json:"consumed"`
	Emitted    uint64 `json:"emitted"`
	Duplicates uint64 `json:"duplicates"` // dropped: already received (T1)
	Rejected   uint64 `json:"rejected"`   // frames and signals of an older incarnation, of another plan, or out of bounds (T4)
	Lost       uint64 `json:"lost"`       // given up, by a strategy that does
	Missed     uint64 `json:"missed"`     // asked for, for the first time
	Replayed   uint64 `json:"replayed"`   // received on the replay subject
	Resent     uint64 `json:"resent"`     // sent on the replay subject
	Asks       uint64 `json:"asks"`       // ASK signals sent
	Overflow   uint64 `json:"overflow"`   // frames dropped because the bounded buffer of frames that came out of order was full
	Snapshots  uint64 `json:"snapshots"`
	Appends    uint64 `json:"appends"`
}

// Add adds other to c.
func (c *Counters) Add(other Counters) {
	c.Consumed += other.Consumed
	c.Emitted += other.Emitted
	c.Duplicates += other.Duplicates
	c.Rejected += other.Rejected
	c.Lost += other.Lost
	c.Missed += other.Missed
	c.Replayed += other.Replayed
	c.Resent += other.Resent
	c.Asks += other.Asks
	c.Overflow += other.Overflow
	c.Snapshots += other.Snapshots
	c.Appends += other.Appends
}

// A Recovery is the account of how a restored task caught up with the lost incarnation.
type Recovery struct {
	Restored    bool      // this incarnation was restored from a log
	CaughtUp    bool      // it has consumed all that its sources had released when it greeted them
	Asked       msgid.Set // the tuples that it asked for until then
	Missed      uint64    // tuples in Asked
	Replayed    uint64    // tuples resent for them
	Reprocessed uint64    // tuples consumed again in the recorded turns
	Duplicates  uint64
}

// Open reports whether the account is open: the task is restored, and has not caught up yet.
func (r *Recovery) Open() bool { return r.Restored && !r.CaughtUp }

// CountReplayed counts tuples that were received on the replay subject.
func (s *Status) CountReplayed(n uint64) {
	s.Counters.Replayed += n
	if s.Recovery.Open() {
		s.Recovery.Replayed += n
	}
}

// CountDuplicates counts tuples that were received before.
func (s *Status) CountDuplicates(n uint64) {
	s.Counters.Duplicates += n
	if s.Recovery.Open() {
		s.Recovery.Duplicates += n
	}
}
