package nimbus

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// ErrConfig occurs when a setting is invalid. The message names it.
var ErrConfig = errors.New("nimbus: bad setting")

// A Config holds the settings of a nimbus. Its zero value leads an open cluster on the NATS server of this machine.
type Config struct {
	Connection natscluster.Connection
	// Name of this nimbus, unique in the cluster; default the host's name, a dash and the process id.
	Name string
	// Detection is after how long without a heartbeat a supervisor and its workers are given up; default
	// cluster.Detection. Less than a second would take a busy machine for a dead one, and is refused.
	Detection time.Duration
	// Lease is for how long nimbus leads without renewing; default 2 s. Another takes over after that.
	Lease time.Duration
	// StopWait is how long supervisors wait for a worker to end; default 5 s. A topology's log is deleted later.
	StopWait time.Duration
	// Replicas of the bucket, of artefacts and of task logs: 0 is three where the NATS cluster has them, else one.
	Replicas int
	// Durability is the promise of the servers' disk settings; default natslog.Process.
	Durability natslog.Durability
	// Trust lists the signers whose artefacts may run; the zero value, for an open cluster, accepts all.
	Trust artefact.Trust
	// Issuer gives workers their permissions; nil in an open cluster.
	Issuer Issuer
	// LoginFor is how long a worker's permissions hold before it must renew them; default 24 h.
	LoginFor time.Duration
	Log      *zap.Logger // default: no log
}

func (c *Config) check() error {
	if c.Name == "" {
		c.Name = ownName()
	}
	if err := cluster.CheckName("nimbus", c.Name, msgid.MaxName); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	for _, d := range []struct {
		name  string
		value *time.Duration
		def   time.Duration
		least time.Duration
	}{
		{"Detection", &c.Detection, cluster.Detection, 2 * cluster.HeartbeatEvery},
		{"Lease", &c.Lease, 2 * time.Second, time.Second},
		{"StopWait", &c.StopWait, 5 * time.Second, 0},
		{"LoginFor", &c.LoginFor, 24 * time.Hour, time.Second},
	} {
		if *d.value == 0 {
			*d.value = d.def
		}
		if *d.value < d.least {
			return fmt.Errorf("%w: %s is %v: want at least %v", ErrConfig, d.name, *d.value, d.least)
		}
	}
	if c.Replicas < 0 || c.Replicas > 5 {
		return fmt.Errorf("%w: Replicas is %d: want 0 to 5", ErrConfig, c.Replicas)
	}
	if c.Durability == "" {
		c.Durability = natslog.Process
	}
	if c.Durability != natslog.Process && c.Durability != natslog.Power {
		return fmt.Errorf("%w: Durability is %.80q: want %q or %q", ErrConfig, c.Durability, natslog.Process, natslog.Power)
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return nil
}

// grace is how long a topology's workers must be silent after its end before its log is deleted. It exceeds the lease, so
// that a leader that was paused cannot delete the log that its successor has made.
func (c *Config) grace() time.Duration {
	return c.StopWait + max(c.Detection, 2*c.Lease)
}

// ownName returns a name made of the host's and the process id.
func ownName() string {
	host, _ := os.Hostname()
	name := []byte(strings.SplitN(host, ".", 2)[0])
	for i, c := range name {
		if !msgid.ValidName(string(c)) {
			name[i] = '-'
		}
	}
	pid := fmt.Sprintf("-%d", os.Getpid())
	if len(name) == 0 {
		name = []byte("nimbus")
	}
	return string(name[:min(len(name), msgid.MaxName-len(pid))]) + pid
}
