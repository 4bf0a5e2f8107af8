package supervisor

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// checkSystem returns an error unless processes can be watched.
func checkSystem() error {
	fd, err := unix.PidfdOpen(os.Getpid(), unix.PIDFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("%w: pidfd_open: %w", ErrSystem, err)
	}
	return unix.Close(fd)
}

// limitMemory bounds the private memory of a process of a user; 0 is no bound. RLIMIT_AS would count memory that the Go
// runtime reserves without ever using it.
func limitMemory(pid int, bytes int64, of *owner) error {
	err := limitData(pid, bytes)
	if errors.Is(err, unix.EPERM) && of != nil { // root in a container may lack the right to limit others
		err = of.as(func() error { return limitData(pid, bytes) })
	}
	if err != nil {
		return fmt.Errorf("limit the memory of process %d: %w", pid, err)
	}
	return nil
}

func limitData(pid int, bytes int64) error {
	var old unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_DATA, nil, &old); err != nil {
		return err
	}
	limit := unix.Rlimit{Cur: old.Max, Max: old.Max}
	if bytes > 0 {
		limit.Cur = min(uint64(bytes), old.Max)
	}
	if limit == old {
		return nil
	}
	return unix.Prlimit(pid, unix.RLIMIT_DATA, &limit, nil)
}

// as calls f on a thread whose real user is the owner. The thread keeps root's rights.
func (o *owner) as(f func() error) error {
	uid, gid, done := os.Getuid(), os.Getgid(), make(chan error)
	go func() {
		runtime.LockOSThread()
		err := setReal(int(o.uid), int(o.gid))
		if err == nil {
			err = f()
		}
		if setReal(uid, gid) == nil {
			runtime.UnlockOSThread()
		} // else the thread ends with this goroutine
		done <- err
	}()
	return <-done
}

// setReal changes the real user and group of this thread only.
func setReal(uid, gid int) error {
	if _, _, err := unix.RawSyscall(unix.SYS_SETRESGID, uintptr(gid), ^uintptr(0), ^uintptr(0)); err != 0 {
		return err
	}
	if _, _, err := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(uid), ^uintptr(0), ^uintptr(0)); err != 0 {
		return err
	}
	return nil
}

func isCgroup2(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.CGROUP2_SUPER_MAGIC
}

// lockFile takes the file's lock or fails at once. The system gives it back when the supervisor ends, however it ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("%w: %s", ErrInUse, path)
		}
		return nil, err
	}
	return f, nil
}
