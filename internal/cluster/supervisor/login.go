package supervisor

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// A login is a worker's NATS user, with the tasks and time that it is for. It is kept on disk, so that the worker can
// be started again while no nimbus answers.
type login struct {
	cluster.Login
	Key    string    `json:"key"`
	Tasks  []string  `json:"tasks"` // that its permissions are for, sorted
	Issued time.Time `json:"issued"`
	Until  time.Time `json:"until,omitzero"` // zero: for ever
}

// covers reports whether a worker of these tasks can use it for a while.
func (l *login) covers(tasks []string, now time.Time) bool {
	return l != nil && slices.Equal(l.Tasks, tasks) && (l.Until.IsZero() || now.Add(time.Second).Before(l.Until))
}

// old reports whether half its time is over.
func (l *login) old(now time.Time) bool {
	return l != nil && !l.Until.IsZero() && now.Sub(l.Issued) > l.Until.Sub(l.Issued)/2
}

// loginTimeout is how long nimbus is asked for a login at a time.
const loginTimeout = 5 * time.Second

// askLogin asks nimbus for a JWT of a worker's key. The key stays the same for as long as the slot is wanted: a worker
// that lives need only take the new JWT.
func (s *Supervisor) askLogin(ctx context.Context, slot cluster.WorkerSlot, w *desired, old *login) (*login, error) {
	ctx, cancel := context.WithTimeout(ctx, loginTimeout)
	defer cancel()
	l := &login{Tasks: w.tasks(), Issued: time.Now()}
	if old != nil {
		l.Seed, l.Key = old.Seed, old.Key
	} else {
		pair, err := nkeys.CreateUser()
		if err != nil {
			return nil, fmt.Errorf("make a key for worker %s: %w", slot, err)
		}
		defer pair.Wipe()
		seed, err1 := pair.Seed()
		key, err2 := pair.PublicKey()
		if err1 != nil || err2 != nil {
			return nil, fmt.Errorf("make a key for worker %s", slot)
		}
		l.Seed, l.Key = string(seed), key
	}
	reply, err := natscluster.Request[cluster.LoginReply](ctx, s.nc, s.subjects.HostAPI(s.cfg.Name, cluster.VerbLogin),
		cluster.LoginRequest{Slot: slot, Key: l.Key})
	if err != nil {
		return nil, fmt.Errorf("login of worker %s: %w", slot, err)
	}
	if reply.JWT == "" {
		return nil, fmt.Errorf("login of worker %s: nimbus has no key to issue it with: set its account's signing key", slot)
	}
	l.JWT, l.Until = reply.JWT, reply.Expires
	return l, s.dir.put(slot, loginFile, l)
}
