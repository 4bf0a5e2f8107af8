package supervisor

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// A procStat is the system's description of a process.
type procStat struct {
	state   byte
	parent  int
	session int
	born    uint64 // in ticks of the system's clock since it started
	exit    int    // wait status of one that has ended; 0 also if it is not ours to see
}

// statOf reports false if there is no such process.
func statOf(pid int) (s procStat, there bool) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return s, false
	}
	// The name of the program stands in brackets, and may hold anything.
	fields := bytes.Fields(text[bytes.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return s, false
	}
	s.state = fields[0][0]
	s.parent, _ = strconv.Atoi(string(fields[1]))
	s.session, _ = strconv.Atoi(string(fields[3]))
	if len(fields) > 49 {
		s.exit, _ = strconv.Atoi(string(fields[49]))
	}
	s.born, err = strconv.ParseUint(string(fields[19]), 10, 64)
	return s, err == nil
}

// everybody returns all processes.
func everybody() map[int]procStat {
	all := map[int]procStat{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			if s, there := statOf(pid); there && s.state != 'Z' {
				all[pid] = s
			}
		}
	}
	return all
}

// strays are processes that a process has forked, or those have, and that have left its session: by when they were born.
type strays map[int]uint64

// straysOf returns them. One whose parent has ended is not among them.
func straysOf(leader int) strays {
	all, found := everybody(), strays{}
	below := map[int]bool{leader: true}
	for grown := true; grown; {
		grown = false
		for pid, s := range all {
			if below[s.parent] && !below[pid] {
				below[pid], grown = true, true
				if s.session != leader {
					found[pid] = s.born
				}
			}
		}
	}
	return found
}

// kill kills those that are still there.
func (all strays) kill() {
	for pid, born := range all {
		if s, there := statOf(pid); there && s.born == born {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}

// sweep kills all processes of a session. A process joins it only by being forked in it.
func sweep(session int) {
	_ = unix.Kill(-session, unix.SIGKILL) // the group of its leader; others are looked for
	for range 10 {
		left := false
		for pid, s := range everybody() {
			if s.session == session {
				_ = unix.Kill(pid, unix.SIGKILL)
				left = true
			}
		}
		if !left {
			return
		}
	}
}

// bootID names this run of the system: a process id of another means nothing.
func bootID() string {
	text, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return string(bytes.TrimSpace(text))
}
