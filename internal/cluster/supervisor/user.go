package supervisor

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// An owner is the user that workers are; nil is the supervisor's own.
type owner struct {
	name     string
	uid, gid uint32
}

// workerUsers are tried in that order when root names none.
var workerUsers = []string{"askback-worker", "nobody"}

// ownerOf returns the user to run workers as.
func ownerOf(runAs string) (*owner, error) {
	if os.Geteuid() != 0 {
		if me, err := user.Current(); runAs != "" && (err != nil || me.Username != runAs) {
			return nil, fmt.Errorf("%w: RunAs %s: only root can run workers as another user", ErrConfig, runAs)
		}
		return nil, nil
	}
	try := workerUsers
	if runAs != "" {
		try = []string{runAs}
	}
	for _, name := range try {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil {
			return &owner{name, uint32(uid), uint32(gid)}, nil
		}
	}
	return nil, fmt.Errorf("%w: RunAs: there is no user %s to run workers as: make it, or name another", ErrConfig, try[0])
}

// own makes directories of a worker's own. Their parents stay the supervisor's.
func (o *owner) own(paths ...string) error {
	for _, path := range paths {
		if err := os.Mkdir(path, 0o700); err != nil {
			if os.IsExist(err) {
				continue
			}
			return err
		}
		if o == nil {
			continue
		}
		if err := os.Lchown(path, int(o.uid), int(o.gid)); err != nil {
			return err
		}
	}
	return nil
}
