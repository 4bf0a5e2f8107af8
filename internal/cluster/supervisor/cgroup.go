package supervisor

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// cgroups are those of workers, below one that the supervisor may write to. A worker cannot leave its own, so killing
// it kills all processes that the worker has forked.
type cgroups struct {
	base   string
	limits bool // memory and CPU too; otherwise they only group the processes of a worker
}

// errNoCgroups is the reason why limits are set otherwise.
var errNoCgroups = errors.New("supervisor: no cgroups")

// leaf is where the supervisor moves itself: a cgroup that others are below may hold no process.
const leaf = "supervisor"

// openCgroups returns the cgroups that a setting names, see Config.Cgroup, or why there are none.
func openCgroups(setting string) (*cgroups, error) {
	root := "/sys/fs/cgroup"
	if setting == "none" {
		return nil, fmt.Errorf("%w: by configuration", errNoCgroups)
	}
	base := setting
	if base == "" {
		if hybrid := filepath.Join(root, "unified"); !isCgroup2(root) && isCgroup2(hybrid) { // which has no controllers
			root = hybrid
		}
		if !isCgroup2(root) {
			return nil, fmt.Errorf("%w: %s is not cgroup v2", errNoCgroups, root)
		}
		text, err := os.ReadFile("/proc/self/cgroup")
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errNoCgroups, err)
		}
		base = filepath.Join(root, ownCgroup(string(text)))
		if filepath.Base(base) == leaf { // an earlier run, or the system, has moved it
			base = filepath.Dir(base)
		}
	}
	g := &cgroups{base: base, limits: true}
	err := g.enable(os.Getpid(), setting == "")
	if errors.Is(err, errNoController) && g.kills() {
		g.limits, err = false, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errNoCgroups, err)
	}
	return g, nil
}

// errNoController: memory and CPU are not limited by these cgroups.
var errNoController = errors.New("supervisor: no controller")

// kills reports whether cgroups can be made and killed.
func (g *cgroups) kills() bool {
	probe := filepath.Join(g.base, "probe-"+strconv.Itoa(os.Getpid()))
	if err := os.Mkdir(probe, 0o755); err != nil {
		return false
	}
	defer func() { _ = os.Remove(probe) }()
	_, err := os.Stat(filepath.Join(probe, "cgroup.kill"))
	return err == nil
}

// ownCgroup finds the path in /proc/self/cgroup, "0::/system.slice/askback.service".
func ownCgroup(text string) string {
	for line := range strings.Lines(text) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			return path
		}
	}
	return "/"
}

// enable lets cgroups below the base limit memory and CPU. A supervisor that is in the base itself moves.
func (g *cgroups) enable(pid int, move bool) error {
	text, err := os.ReadFile(filepath.Join(g.base, "cgroup.controllers"))
	if err != nil {
		return err
	}
	for _, needed := range []string{"memory", "cpu"} {
		if !slices.Contains(strings.Fields(string(text)), needed) {
			return fmt.Errorf("%w: %s lacks %s", errNoController, g.base, needed)
		}
	}
	on := func() error { return write(filepath.Join(g.base, "cgroup.subtree_control"), "+memory +cpu") }
	err = on()
	if err == nil || !move {
		return err
	}
	below := filepath.Join(g.base, leaf)
	if err := os.Mkdir(below, 0o755); err != nil && !os.IsExist(err) {
		return err
	}
	if err := write(filepath.Join(below, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
		return err
	}
	return on()
}

func write(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }

// of names the supervisor too: another on the same host may have the same base.
func (g *cgroups) of(s cluster.WorkerSlot) string {
	return filepath.Join(g.base, "worker-"+s.Supervisor+"-"+string(s.Instance)+"-"+strconv.Itoa(s.Number))
}

// put puts a process into the cgroup of its slot, with the limits of its need if cgroups limit.
//
// To start it there (CLONE_INTO_CGROUP) would be faster, and nothing could be forked before. But Linux 6.18 kills at
// once a process that starts in a cgroup that has been killed before.
func (g *cgroups) put(s cluster.WorkerSlot, pid int, n need) error {
	dir := g.of(s)
	if err := os.Mkdir(dir, 0o755); err != nil && !os.IsExist(err) {
		return fmt.Errorf("limit %s: %w", s, err)
	}
	if !g.limits {
		if err := write(filepath.Join(dir, "cgroup.procs"), strconv.Itoa(pid)); err != nil {
			return fmt.Errorf("hold together %s: %w", s, err)
		}
		return nil
	}
	memory, cpu := "max", "max 100000"
	if n.Memory > 0 {
		memory = strconv.FormatInt(n.Memory, 10)
	}
	if n.CPU > 0 {
		cpu = strconv.FormatInt(n.CPU*1000, 10) + " 100000" // µs in every 100 ms
	}
	for _, f := range []struct{ name, text string }{
		{"memory.max", memory}, {"memory.oom.group", "1"}, {"cpu.max", cpu}, {"cgroup.procs", strconv.Itoa(pid)},
	} {
		if err := write(filepath.Join(dir, f.name), f.text); err != nil {
			return fmt.Errorf("limit %s: %w", s, err)
		}
	}
	_ = write(filepath.Join(dir, "memory.swap.max"), "0") // not every system counts swap
	return nil
}

// kill kills all that is in the cgroup of a slot.
func (g *cgroups) kill(s cluster.WorkerSlot) {
	if g != nil {
		_ = write(filepath.Join(g.of(s), "cgroup.kill"), "1")
	}
}

// oomKills counts the processes that the system has killed in the cgroup of a slot for lack of memory.
func (g *cgroups) oomKills(s cluster.WorkerSlot) (n uint64) {
	if g == nil {
		return 0
	}
	text, _ := os.ReadFile(filepath.Join(g.of(s), "memory.events"))
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		if count, ok := strings.CutPrefix(lines.Text(), "oom_kill "); ok {
			n, _ = strconv.ParseUint(count, 10, 64)
		}
	}
	return n
}

// remove removes the cgroup of a slot. Killed processes need a moment to be gone.
func (g *cgroups) remove(s cluster.WorkerSlot) {
	if g == nil {
		return
	}
	g.kill(s)
	for range 20 {
		if err := os.Remove(g.of(s)); err == nil || os.IsNotExist(err) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
