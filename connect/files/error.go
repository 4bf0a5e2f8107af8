package files

import (
	"errors"
	"syscall"

	"github.com/askback/askback/bolt"
)

var (
	// ErrNoFiles is returned by Open and Total when a pattern names no regular file.
	ErrNoFiles = errors.New("files: no files")
	// ErrChanged is returned by Seek when the files are not those that the position was taken over, and by Next when a
	// file has become shorter than it was. Such input cannot be replayed.
	ErrChanged = errors.New("files: input files have changed")
	// ErrLongLine is returned by Next for a line longer than MaxLine, when Cut is not given.
	ErrLongLine = errors.New("files: line is too long")
	// ErrLongPiece is returned by Next when a line cannot be cut within MaxPiece bytes.
	ErrLongPiece = errors.New("files: line cannot be cut")
	// ErrLost is returned by a sink when a staged file that the snapshot counts on is missing, or is shorter: it was
	// deleted, or the task was moved to a machine that does not share the directory.
	ErrLost = errors.New("files: staged output is lost")
)

// outage marks an error of the file system as the outside's fault, unless it is of a kind that does not pass by itself: a
// file that does not exist or is of the wrong kind. Errors that no system call returned stay as they are.
func outage(err error) error {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return err
	}
	switch number {
	case syscall.ENOENT, syscall.ENOTDIR, syscall.EISDIR, syscall.EEXIST, syscall.ENAMETOOLONG, syscall.EINVAL, syscall.ELOOP:
		return err
	}
	return bolt.Outage(err)
}
