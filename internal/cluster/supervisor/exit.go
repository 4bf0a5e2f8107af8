package supervisor

import (
	"fmt"
	"syscall"

	"github.com/askback/askback/internal/cluster"
)

// An exit is how a process ended.
type exit struct {
	known  bool // false: it was not our child, and the system does not report its status
	code   int
	signal syscall.Signal // 0: it ended by itself
}

// String returns "exit status 2", "killed by signal 9 (killed)".
func (e exit) String() string {
	switch {
	case !e.known:
		return "ended, it is not known how"
	case e.signal != 0:
		return fmt.Sprintf("killed by signal %d (%s)", int(e.signal), e.signal)
	}
	return fmt.Sprintf("exit status %d", e.code)
}

func (e exit) is(code int) bool { return e.known && e.signal == 0 && e.code == code }

func exitOf(w syscall.WaitStatus) exit {
	if w.Signaled() {
		return exit{known: true, signal: w.Signal()}
	}
	return exit{known: true, code: w.ExitStatus()}
}

// An ending describes how a desired worker has ended.
type ending struct {
	exit
	hung   string // why it was killed: "" if it was not
	oom    bool   // for want of memory
	limit  string // of its memory, in words
	report report // its last words on standard error
}

// cause returns why it ended, in words.
func (e *ending) cause() string {
	switch {
	case e.hung != "":
		return e.hung
	case e.oom:
		return "OOM-killed, limit " + e.limit
	case e.is(cluster.ExitDone):
		return "it ended by itself"
	case e.signal != 0 || !e.known || e.report.line == "":
		return e.exit.String()
	}
	return e.exit.String() + ": " + e.report.line
}

// stopped returns how a worker ended that was ordered to stop, if it did not simply exit.
func (e *ending) stopped() string {
	switch {
	case e.is(cluster.ExitDone):
		return ""
	case e.signal == syscall.SIGKILL:
		return ": it did not end in time, and was killed"
	}
	return ": " + e.cause()
}

// killedByOthers reports whether a process other than the supervisor has killed it: then its restart need not be
// delayed.
func (e *ending) killedByOthers() bool {
	return e.known && (e.signal == syscall.SIGKILL || e.signal == syscall.SIGTERM) && e.hung == "" && !e.oom
}

// permanent reports whether it is not to be started again before its order changes.
func (e *ending) permanent() bool {
	return e.hung == "" && (e.is(cluster.ExitFenced) || e.is(cluster.ExitRefused))
}
