package netlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A Lab is a network of hosts. Its methods are for the test's goroutine.
type Lab struct {
	t     testing.TB
	id    string // part of the names of namespaces and links
	hub   string // the namespace of the bridge
	dir   string // of the processes' output
	hosts []*Host
}

// labs numbers the labs of one process.
var labs atomic.Int64

// New makes an empty network.
func New(t testing.TB) *Lab {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "root"
	} else if _, err := exec.LookPath("ip"); err != nil {
		missing = "the command ip (Debian's package iproute2)"
	}
	if missing != "" {
		if os.Getenv("CI") != "" {
			t.Fatalf("network namespaces need %s", missing)
		}
		t.Skipf("network namespaces need %s", missing)
	}
	l := &Lab{t: t, id: fmt.Sprintf("ab%d-%d", os.Getpid(), labs.Add(1)), dir: t.TempDir()}
	l.hub = l.id + "-hub"
	l.ip("netns", "add", l.hub)
	t.Cleanup(func() { l.try("netns", "del", l.hub) })
	l.in(l.hub, "link", "add", "bridge", "type", "bridge")
	l.in(l.hub, "link", "set", "bridge", "up")
	return l
}

// For has failures of the network reported to t, a subtest, until end is called. Hosts still end with the test of New.
func (l *Lab) For(t testing.TB) (end func()) {
	whole := l.t
	l.t = t
	return func() { l.t = whole }
}

// Host adds a host to the network.
func (l *Lab) Host(name string) *Host {
	l.t.Helper()
	n := len(l.hosts) + 1
	h := &Host{lab: l, Name: name, IP: "10.77.0." + strconv.Itoa(n), space: l.id + "-" + name, port: "p" + strconv.Itoa(n)}
	l.ip("netns", "add", h.space)
	l.t.Cleanup(func() {
		h.killAll()
		l.try("netns", "del", h.space)
	})
	l.ip("link", "add", h.port, "netns", l.hub, "type", "veth", "peer", "name", "eth0", "netns", h.space)
	l.in(l.hub, "link", "set", h.port, "master", "bridge", "up")
	l.in(h.space, "addr", "add", h.IP+"/24", "dev", "eth0")
	l.in(h.space, "link", "set", "eth0", "up")
	l.in(h.space, "link", "set", "lo", "up")
	l.hosts = append(l.hosts, h)
	return h
}

// KillAll kills all processes on all hosts, with any parent. Hosts stay.
func (l *Lab) KillAll() {
	for _, h := range l.hosts {
		h.killAll()
	}
}

func (l *Lab) ip(args ...string) {
	l.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("ip %s: %v: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
}

func (l *Lab) in(space string, args ...string) {
	l.t.Helper()
	l.ip(append([]string{"-n", space}, args...)...)
}

func (l *Lab) try(args ...string) {
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		l.t.Errorf("ip %s: %v: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
}

// A Host is one network namespace.
type Host struct {
	Name string
	IP   string

	lab         *Lab
	space, port string

	mu        sync.Mutex
	processes []*Process
}

// Down cuts the host's link: all packets in both directions are lost silently.
func (h *Host) Down() {
	h.lab.t.Helper()
	h.lab.in(h.lab.hub, "link", "set", h.port, "nomaster")
}

// Up ends Down.
func (h *Host) Up() {
	h.lab.t.Helper()
	h.lab.in(h.lab.hub, "link", "set", h.port, "master", "bridge")
}

// Mute drops the packets that the host sends; packets to it still arrive.
func (h *Host) Mute() {
	h.lab.t.Helper()
	h.traffic("add", "root", "tbf", "rate", "1kbit", "burst", "10", "limit", "10") // no packet is as short as the burst
}

// Unmute ends Mute.
func (h *Host) Unmute() {
	h.lab.t.Helper()
	h.traffic("del", "root")
}

func (h *Host) traffic(verb string, args ...string) {
	h.lab.t.Helper()
	args = append([]string{"-n", h.space, "qdisc", verb, "dev", "eth0"}, args...)
	if out, err := exec.Command("tc", args...).CombinedOutput(); err != nil {
		h.lab.t.Fatalf("tc %s: %v: %s", strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
}

// command is a command on the host.
func (h *Host) command(ctx context.Context, argv []string) *exec.Cmd {
	return exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", h.space}, argv...)...)
}

// Run runs a command on the host and returns its standard output. An error has its standard error.
func (h *Host) Run(ctx context.Context, argv ...string) ([]byte, error) {
	var out, errs bytes.Buffer
	c := h.command(ctx, argv)
	c.Stdout, c.Stderr = &out, &errs
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s on %s: %w: %s", filepath.Base(argv[0]), h.Name, err, bytes.TrimSpace(errs.Bytes()))
	}
	return out.Bytes(), nil
}

// Start starts a process on the host, in a group of its own. Its output goes to a file, whose end is shown when the
// test fails.
func (h *Host) Start(name string, argv ...string) *Process {
	h.lab.t.Helper()
	path := filepath.Join(h.lab.dir, h.Name+"-"+name+".log")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		h.lab.t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	p := &Process{Name: name, Log: path, host: h, ended: make(chan struct{})}
	p.cmd = h.command(context.Background(), argv)
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		h.lab.t.Fatalf("start %s on %s: %v", name, h.Name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.ended)
	}()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.processes = append(h.processes, p)
	return p
}

// PIDs returns the ids of all processes on the host, with any parent.
func (h *Host) PIDs() (pids []int) {
	out, err := exec.Command("ip", "netns", "pids", h.space).Output()
	if err != nil {
		h.lab.t.Errorf("ip netns pids %s: %v", h.space, err)
	}
	for field := range strings.FieldsSeq(string(out)) {
		if pid, err := strconv.Atoi(field); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// Signal sends a signal to every process on the host; SIGSTOP pauses the host.
func (h *Host) Signal(sig syscall.Signal) {
	for _, pid := range h.PIDs() {
		_ = syscall.Kill(pid, sig) // it may have ended meanwhile
	}
}

func (h *Host) killAll() {
	for range 50 { // a killed process may have forked meanwhile
		pids := h.PIDs()
		for _, pid := range pids {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		if len(pids) == 0 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.processes {
		<-p.ended
		if h.lab.t.Failed() {
			h.lab.t.Logf("%s on %s:\n%s", p.Name, h.Name, p.Tail(4000))
		}
	}
	h.processes = nil
}

// A Process is a process that Start has started.
type Process struct {
	Name string
	Log  string // the file of its output

	host  *Host
	cmd   *exec.Cmd
	ended chan struct{}
}

// PID returns the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends a signal to the process alone.
func (p *Process) Signal(sig syscall.Signal) {
	p.host.lab.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.host.lab.t.Fatalf("signal %s on %s: %v", p.Name, p.host.Name, err)
	}
}

// Kill is kill -9 of the process alone; it returns when it is dead.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.ended
}

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Tail returns the last bytes of the process's output.
func (p *Process) Tail(most int64) string {
	f, err := os.Open(p.Log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > most {
		_, _ = f.Seek(-most, 2)
	}
	var b bytes.Buffer
	_, _ = b.ReadFrom(f)
	return b.String()
}
