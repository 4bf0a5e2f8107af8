package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/strategies"
	"github.com/askback/askback/topology"
)

// ErrRefused: this program cannot run as launched. Submit the program that is to run, with the arguments that its
// workers are to get.
var ErrRefused = errors.New("worker: refused")

// maxLaunch bounds a launch in bytes. One of a hundred thousand tasks stays below.
const maxLaunch = 16 << 20

// readLaunch reads the launch from the supervisor, and checks the parts that come from outside. No error shows anything
// of the login.
func readLaunch(r io.Reader) (*cluster.Launch, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxLaunch+1))
	if err != nil {
		return nil, fmt.Errorf("worker: read the launch: %w", err)
	}
	l := &cluster.Launch{}
	if len(text) > maxLaunch || json.Unmarshal(text, l) != nil {
		return nil, fmt.Errorf("worker: the launch is not JSON of at most %d bytes: a worker is started by a supervisor only", maxLaunch)
	}
	if l.Runtime != cluster.Runtime {
		return nil, fmt.Errorf("%w: the supervisor speaks version %.40q of the cluster's language, this program %q: build it with the library of the cluster's release", ErrRefused, l.Runtime, cluster.Runtime)
	}
	if err := l.Check(); err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	return l, nil
}

// planOf builds the plan that the launch names. Its name is the instance's: to the outside, such as sinks, two
// submissions of one program are two topologies.
func planOf(b *topology.Builder, l *cluster.Launch) (*topology.Plan, *strategies.Implementation, error) {
	s, err := strategies.Named(l.Spec.Strategy)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	plan, err := versionOf(b.Override(l.Parallel), s, l.Spec.Plan)
	if err != nil {
		return nil, nil, err
	}
	plan.Name = string(l.Slot.Instance)
	return plan, s, nil
}

// versionOf builds a plan, which must have a version.
func versionOf(b *topology.Builder, s *strategies.Implementation, version uint64) (*topology.Plan, error) {
	plan, err := b.BuildWith(s.Extension, s.Described())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if plan.Version != version {
		return nil, fmt.Errorf("%w: the plan of topology %q is version %016x here, and %016x was submitted: do its arguments, environment or files differ on this host?",
			ErrRefused, plan.Name, plan.Version, version)
	}
	return plan, nil
}
