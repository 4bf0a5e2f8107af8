package supervisor

import (
	"fmt"
	"strconv"

	"github.com/askback/askback/internal/cluster"
)

// A limiter bounds the resources of workers.
type limiter struct {
	groups *cgroups // nil: none. Unless they limit, rlimits do
	owner  *owner   // of the processes
}

// reserved is the memory that the Go runtime maps beyond its use: heap comes in arenas of 64 MiB.
const reserved = 128 << 20

// env returns the environment by which a worker keeps below its limits by itself.
func (l *limiter) env(n need) (env []string) {
	if n.Memory > 0 {
		env = append(env, "GOMEMLIMIT="+strconv.FormatInt(n.Memory/10*9, 10))
	}
	if n.CPU > 0 && !l.byCgroup() { // in a cgroup the runtime sees its share
		env = append(env, "GOMAXPROCS="+strconv.FormatInt((n.CPU+99)/100, 10))
	}
	return env
}

func (l *limiter) byCgroup() bool { return l.groups != nil && l.groups.limits }

// apply limits a process, and may be called again when its need has changed. It describes the limits in words.
func (l *limiter) apply(s cluster.WorkerSlot, pid int, n need) (string, error) {
	if l.groups != nil {
		if err := l.groups.put(s, pid, n); err != nil {
			return "", err
		}
	}
	if l.byCgroup() {
		return n.words("by cgroup", "by cgroup"), nil
	}
	if err := limitMemory(pid, n.rlimit(), l.owner); err != nil {
		return n.words("by GOMEMLIMIT only ("+oneLine(err)+")", "by GOMAXPROCS"), nil
	}
	return n.words("by RLIMIT_DATA", "by GOMAXPROCS"), nil
}

// rlimit is the bound of a process's data in bytes; 0 is none.
func (n need) rlimit() int64 {
	if n.Memory == 0 {
		return 0
	}
	return n.Memory + reserved
}

func (n need) words(memory, cpu string) string {
	text := ""
	if n.Memory > 0 {
		text = "memory " + size(n.Memory) + " " + memory
	}
	if n.CPU > 0 {
		if text != "" {
			text += ", "
		}
		text += fmt.Sprintf("CPU %d %% of a core %s", n.CPU, cpu)
	}
	if text == "" {
		return "none: no operator declares a demand"
	}
	return text
}

// size returns "512 MiB".
func size(bytes int64) string {
	if bytes%(1<<20) == 0 || bytes >= 1<<30 {
		return strconv.FormatInt(bytes>>20, 10) + " MiB"
	}
	return strconv.FormatInt(bytes>>10, 10) + " KiB"
}
