package clustertest

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/askback/askback/internal/netlab"
)

// arguments returns the command line of a process, nil if it has ended.
func arguments(pid int) []string {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	if err != nil || len(text) == 0 {
		return nil
	}
	var all []string
	for arg := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte{0}), []byte{0}) {
		all = append(all, string(arg))
	}
	return all
}

// pidsOf returns the processes on a host that have an argument.
func pidsOf(h *netlab.Host, argument string) (pids []int) {
	for _, pid := range h.PIDs() {
		if slices.Contains(arguments(pid), argument) {
			pids = append(pids, pid)
		}
	}
	return pids
}
