package bench

import "time"

// A message goes from a measuring process to the one that has started it: one line of JSON on standard output.
type message struct {
	Begin    *begin    `json:",omitempty"`
	Sample   *Sample   `json:",omitempty"`
	Steady   *steady   `json:",omitempty"`
	Fault    *injected `json:",omitempty"`
	Detected *detected `json:",omitempty"`
	Recovery *regained `json:",omitempty"`
	End      *end      `json:",omitempty"`
}

// begin is sent when the sources are about to start.
type begin struct {
	Due   time.Time // of number 0; the measurement begins after the warm-up
	Keeps bool      // the strategy restores what the bolts had
	Tasks []string
	Input int64 // bytes of memory before the topology began, such as a text
}

// A Sample is how a run stands at a moment.
type Sample struct {
	At       int64    // µs since the measurement began
	Results  int64    // that have arrived, each counted once
	Arrived  int64    // with repeats, where they can be recognised
	Sinks    []int64  // Results by sink task
	Sources  []int64  // calls by source task
	Work     []uint64 // of each task: tuples consumed and emitted
	Restarts []int    // of each task
	Timed    int64    // latencies measured since the last sample, and their
	P50, P99 int64    // percentiles, µs
	Most     int64
}

// steady is what the time before the fault, or all of it, came to.
type steady struct {
	Seconds                    float64
	Results                    int64
	CPU                        time.Duration
	Latency                    Latency
	Data, Control, Replay, Log traffic
}

// Latency is how old results were when they arrived, in µs, from the moment when they were due: waiting that a pause
// causes is in it.
type Latency struct {
	Timed                int64 // how many were timed
	P50, P99, P999, Most int64
}

type traffic struct{ Messages, Bytes uint64 }

// injected is sent when a fault has been done.
type injected struct {
	At      int64 // µs
	Victims []string
}

// detected is sent when the runtime has noticed that something is wrong.
type detected struct{ At int64 }

// regained is sent when a task has caught up.
type regained struct {
	At                                        int64
	Task                                      string
	Missed, Replayed, Reprocessed, Duplicates uint64
}

// end is the last message.
type end struct {
	Elapsed     time.Duration
	Interrupted bool   // by Ctrl-C
	Err         string // why the run failed
	Memory      int64  // most bytes resident
	Checked     bool
	Unchecked   string // why not
	Verdict     verdict
	Missed      uint64 // tuples asked for
	Replayed    uint64 // tuples received again for that
	Resent      uint64 // tuples sent again by sources
}
