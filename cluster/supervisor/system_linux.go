package supervisor

import (
	"errors"
	"fmt"
	"os"

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

// limitMemory bounds the private memory of a process. RLIMIT_AS would count what the Go runtime reserves without ever
// using it.
func limitMemory(pid int, bytes int64) error {
	var old unix.Rlimit
	if err := unix.Prlimit(pid, unix.RLIMIT_DATA, nil, &old); err != nil {
		return fmt.Errorf("limit the memory of process %d: %w", pid, err)
	}
	limit := unix.Rlimit{Cur: old.Max, Max: old.Max}
	if bytes > 0 {
		limit.Cur = min(uint64(bytes), old.Max)
	}
	if err := unix.Prlimit(pid, unix.RLIMIT_DATA, &limit, nil); err != nil {
		return fmt.Errorf("limit the memory of process %d: %w", pid, err)
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
