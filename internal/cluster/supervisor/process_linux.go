package supervisor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/askback/askback/internal/cluster"
)

// A program is an executable to start, with its arguments, environment and owner.
type program struct {
	path   string
	args   []string
	env    []string
	dir    string
	output *os.File
	launch []byte // its input on cluster.LaunchFD
	owner  *owner // nil: the supervisor's own user
}

// A process is a running worker, the leader of a session, and all that it has forked into that session.
//
// It is watched by a pidfd, which stands for this process and no other. The process id stays its own until it is reaped,
// or, if an earlier supervisor started it, until all of its session have ended.
type process struct {
	pid  int
	born uint64 // in ticks of the system's clock since it started
	fd   *os.File
}

// start starts a program. It tries again for a moment if the file is held open for writing: a child that was forked
// while the cache wrote it has it until it executes.
func start(p *program) (proc *process, err error) {
	for try := 0; ; try++ {
		proc, err = startOnce(p)
		if !errors.Is(err, unix.ETXTBSY) || try == 10 {
			return proc, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func startOnce(p *program) (*process, error) {
	launch, err := sealed(p.launch)
	if err != nil {
		return nil, err
	}
	defer func() { _ = launch.Close() }()
	cmd := exec.Command(p.path, p.args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.env, p.dir, p.output, p.output
	for len(cmd.ExtraFiles) < cluster.LaunchFD-3 {
		cmd.ExtraFiles = append(cmd.ExtraFiles, nil)
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, launch)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // and so a process group of its own
	if p.owner != nil {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: p.owner.uid, Gid: p.owner.gid}
	}
	switch err := cmd.Start(); {
	case errors.Is(err, unix.ENOEXEC):
		return nil, fmt.Errorf("%w: build it for this system: %w", errNoProgram, err)
	case errors.Is(err, unix.EACCES) && p.owner != nil:
		return nil, fmt.Errorf("start the program: %w: user %s must be able to pass through the directories above it", err, p.owner.name)
	case err != nil:
		return nil, fmt.Errorf("start the program: %w", err)
	}
	defer func() { _ = cmd.Process.Release() }() // we wait for it in our own way
	proc := &process{pid: cmd.Process.Pid}
	if err := proc.watch(); err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, err
	}
	s, _ := statOf(proc.pid) // it is there, if only as a zombie: no other process reaps it
	proc.born = s.born
	return proc, nil
}

// sealed returns a file that no other process can see, with a text to read. A pipe would need a writer until it is
// read.
func sealed(text []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("launch", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("hand over the launch: %w", err)
	}
	f := os.NewFile(uintptr(fd), "launch")
	if _, err = f.Write(text); err == nil {
		_, err = f.Seek(0, 0)
	}
	if err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("hand over the launch: %w", err)
	}
	return f, nil
}

// find returns a process that an earlier supervisor started, or nil if it has ended. Processes that it left in its
// session are killed.
func find(pid int, born uint64) (*process, error) {
	proc := &process{pid: pid, born: born}
	if s, there := statOf(pid); there && s.born != born {
		return nil, nil // another has its number, so nothing of it can be left
	} else if !there || s.state == 'Z' || s.session != pid {
		sweep(pid)
		return nil, nil
	}
	if err := proc.watch(); err != nil {
		if errors.Is(err, unix.ESRCH) {
			sweep(pid)
			return nil, nil
		}
		return nil, err
	}
	if s, there := statOf(pid); there && s.born != born { // it ended between, and another has its number
		proc.close()
		return nil, nil
	}
	return proc, nil
}

// watch opens the pidfd. The Go runtime waits for it without a thread.
func (p *process) watch() error {
	fd, err := unix.PidfdOpen(p.pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch process %d: %w", p.pid, err)
	}
	p.fd = os.NewFile(uintptr(fd), "pidfd")
	return nil
}

// close ends the watching. The process lives on.
func (p *process) close() { _ = p.fd.Close() }

// wait waits until the process has ended, kills the processes that it has left behind, and returns how it ended; false
// if close came before.
func (p *process) wait() (exit, bool) {
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return exit{}, false
	}
	if err := raw.Read(func(fd uintptr) bool { return readable(int(fd)) }); err != nil {
		return exit{}, false
	}
	sweep(p.pid) // before it is reaped: until then its number is its own
	return p.reap(), true
}

func readable(fd int) bool {
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	return err == nil && n > 0
}

// reap returns how the process ended. Another's child is reaped by another: until then its exit status may stand in its
// stat, and afterwards newer systems report it.
func (p *process) reap() exit {
	for {
		var status unix.WaitStatus
		switch _, err := unix.Wait4(p.pid, &status, 0, nil); {
		case err == nil:
			return exitOf(syscall.WaitStatus(status))
		case errors.Is(err, unix.EINTR):
			continue
		}
		break
	}
	raw, err := p.fd.SyscallConn()
	if err != nil {
		return exit{}
	}
	for range 10 {
		if s, there := statOf(p.pid); there && s.born == p.born && s.exit != 0 { // 0: or we may not see it
			return exitOf(syscall.WaitStatus(s.exit))
		}
		var info unix.PidfdInfo
		_ = raw.Control(func(fd uintptr) {
			info = unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
			err = unix.IoctlPidfdInfo(int(fd), &info)
		})
		if err == nil && info.Mask&unix.PIDFD_INFO_EXIT != 0 {
			return exitOf(syscall.WaitStatus(info.Exit_code))
		}
		time.Sleep(time.Millisecond)
	}
	return exit{}
}

// signal sends a signal to the process and to those that it forked into its process group.
func (p *process) signal(s syscall.Signal) { _ = unix.Kill(-p.pid, s) }

// kill kills the process, all of its session, and processes that it has forked elsewhere.
func (p *process) kill() {
	left := straysOf(p.pid)
	p.signal(unix.SIGKILL)
	left.kill()
	sweep(p.pid)
}

// strays returns the processes that this one has forked into other sessions: once it has ended they cannot be traced to
// it.
func (p *process) strays() strays { return straysOf(p.pid) }

// stopped reports whether the process is stopped by a signal.
func (p *process) stopped() bool {
	s, there := statOf(p.pid)
	return there && (s.state == 'T' || s.state == 't')
}
