package supervisor

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// Errors of New and Run.
var (
	// ErrConfig: a setting that cannot be. The message names it.
	ErrConfig = errors.New("supervisor: bad setting")
	// ErrInUse: another supervisor uses the directory. Stop it, or choose another Dir.
	ErrInUse = errors.New("supervisor: directory is in use by another supervisor")
	// ErrSystem: the system lacks a feature that a supervisor needs.
	ErrSystem = errors.New("supervisor: needs Linux 5.10 or newer")
)

// A Config configures a supervisor. Dir must be set.
type Config struct {
	Connection natscluster.Connection
	// Name is the supervisor's, unique in the cluster; default the host's name.
	Name string
	// Dir keeps programs, logins, logs and the workers' own directories.
	Dir string
	// Slots is how many workers there may be; default one for each CPU.
	Slots int
	// CPU for all workers together, in percent of a core; 0: placement has no limit.
	CPU int64
	// Memory for all workers together, in bytes; 0: placement has no limit.
	Memory int64
	// Tags may be asked for by topologies.
	Tags []string
	// Detection is after how long without a heartbeat a worker is taken for hung; default nimbus's own, and
	// cluster.Detection until that is known.
	Detection time.Duration
	// StopWait is the time that a worker has to end by itself before it is killed; default 5 s.
	StopWait time.Duration
	// StopWorkers stops all workers when Run ends. By default they live on, and the next run adopts them.
	StopWorkers bool
	// RunAs is the user that workers run as. Default, when the supervisor runs as root: askback-worker if there is one,
	// else nobody. A supervisor that is not root runs workers as its own user only.
	RunAs string
	// Cgroup is the cgroup v2 directory below which each worker has its own; default the supervisor's own cgroup. If that
	// cannot be used, or lacks the controllers memory and cpu, limits are rlimits. "none" is no cgroups, and rlimits.
	Cgroup string
	// Trust decides whose artefacts may run; the zero value is an open cluster, which runs everybody's.
	Trust artefact.Trust
	// MaxLog is how long a worker's output becomes before it is rotated, in bytes; default 10 MiB.
	MaxLog int64
	// LogFiles is how many rotated files of a worker are kept; default 4.
	LogFiles int
	// KeepLogs is how long the output of a worker is kept that is not wanted any more; default 24 h.
	KeepLogs time.Duration
	Log      *zap.Logger // default: no log
}

func (c *Config) check() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", ErrConfig, fmt.Errorf(format, args...))
	}
	if c.Name == "" {
		c.Name = hostName()
	}
	if err := cluster.CheckName("supervisor", c.Name, msgid.MaxName); err != nil {
		return bad("Name: %w", err)
	}
	for _, tag := range c.Tags {
		if err := cluster.CheckName("tag", tag, msgid.MaxName); err != nil {
			return bad("Tags: %w", err)
		}
	}
	if c.Dir == "" {
		return bad("Dir is not set: name a directory that only supervisors write to")
	}
	dir, err := filepath.Abs(c.Dir)
	if err != nil {
		return bad("Dir: %w", err)
	}
	c.Dir = dir
	if c.Slots < 0 || c.CPU < 0 || c.Memory < 0 || c.MaxLog < 0 || c.LogFiles < 0 || c.KeepLogs < 0 || c.StopWait < 0 {
		return bad("Slots, CPU, Memory, MaxLog, LogFiles, KeepLogs and StopWait are 0 or more")
	}
	if c.Detection != 0 && c.Detection < 2*cluster.HeartbeatEvery {
		return bad("Detection is %v: want at least %v", c.Detection, 2*cluster.HeartbeatEvery)
	}
	c.Slots = cmp.Or(c.Slots, runtime.NumCPU())
	c.StopWait = cmp.Or(c.StopWait, 5*time.Second)
	c.MaxLog = cmp.Or(c.MaxLog, 10<<20)
	c.LogFiles = cmp.Or(c.LogFiles, 4)
	c.KeepLogs = cmp.Or(c.KeepLogs, 24*time.Hour)
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return nil
}

// hostName makes the host's name one of a supervisor.
func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "supervisor"
	}
	name = strings.Map(func(r rune) rune {
		if msgid.ValidName(string(r)) {
			return r
		}
		return '-'
	}, name)
	return name[:min(len(name), msgid.MaxName)]
}
