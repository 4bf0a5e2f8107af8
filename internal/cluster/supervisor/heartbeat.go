package supervisor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// sendHeartbeats publishes the state of the supervisor and its workers, every cluster.HeartbeatEvery, until ctx ends.
func (s *Supervisor) sendHeartbeats(ctx context.Context) {
	tick := time.NewTicker(cluster.HeartbeatEvery)
	defer tick.Stop()
	for {
		text, err := json.Marshal(s.heartbeat())
		if err == nil {
			err = s.nc.Publish(s.subjects.HostHeartbeat(s.cfg.Name), text) // the next one repeats it
		}
		if err == nil {
			answered, cancel := context.WithTimeout(ctx, cluster.HeartbeatEvery)
			err = s.nc.FlushWithContext(answered)
			cancel()
		}
		if err == nil {
			s.pulse.answered(time.Now())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (s *Supervisor) heartbeat() *cluster.HostHeartbeat {
	b := &cluster.HostHeartbeat{Name: s.cfg.Name, Runtime: cluster.Runtime, Started: s.started, Workers: []cluster.Process{}}
	for _, m := range s.all() {
		b.Workers = append(b.Workers, *m.status.Load())
	}
	slices.SortFunc(b.Workers, func(a, b cluster.Process) int {
		return cmp.Or(cmp.Compare(a.Slot.Number, b.Slot.Number), cmp.Compare(a.Slot.Instance, b.Slot.Instance))
	})
	return b
}

// onHeartbeat passes a worker's heartbeat on. The subject names the slot; no other worker may publish there. The slot's
// own worker manager reads it, so that a worker that floods its heartbeats delays no other.
func (s *Supervisor) onHeartbeat(m *nats.Msg) {
	if w := s.manager(s.slotOf(m.Subject)); w != nil && !natscluster.FromStream(m) {
		sendLatest(w.heartbeats, m)
	}
}

// slotOf returns the slot of "P.heartbeat.worker.I.S.N".
func (s *Supervisor) slotOf(subject string) (slot cluster.WorkerSlot) {
	if parts := strings.Split(subject, "."); len(parts) == 6 {
		slot.Instance, slot.Supervisor = cluster.Instance(parts[3]), parts[4]
		slot.Number, _ = strconv.Atoi(parts[5])
	}
	return slot
}

const (
	joinEvery = 30 * time.Second // for a bucket that was lost
	joinAgain = time.Second      // after a refusal
)

// join registers this host with nimbus, now and again, until ctx ends. A host that has joined from here before need not
// wait for the answer: earlier decisions for it count, with or without a nimbus.
func (s *Supervisor) join(ctx context.Context) {
	admitted := s.dir.joined(s.cfg.Name)
	if admitted {
		close(s.joined)
	}
	host := cluster.Host{
		Name: s.cfg.Name, Slots: s.cfg.Slots, CPU: s.cfg.CPU, Memory: s.cfg.Memory, Tags: s.cfg.Tags,
		Runtime: cluster.Runtime, Joined: s.started, Started: s.started,
	}
	for ctx.Err() == nil {
		pause := joinEvery
		reply, err := natscluster.Request[cluster.JoinReply](ctx, s.nc, s.subjects.HostAPI(s.cfg.Name, cluster.VerbJoin), host)
		switch refused := (*cluster.RequestError)(nil); {
		case err == nil:
			if s.cfg.Detection == 0 && reply.Detection > 0 {
				s.detects.Store(int64(reply.Detection))
			}
			if !admitted {
				admitted = true
				s.cfg.Log.Info("joined")
				if err := s.dir.setJoined(s.cfg.Name); err != nil {
					s.cfg.Log.Warn("that this host has joined cannot be written down", zap.Error(err))
				}
				close(s.joined)
			}
		case errors.As(err, &refused):
			s.cfg.Log.Error("nimbus refuses this supervisor", zap.Error(err))
			pause = joinAgain
		case errors.Is(err, nats.ErrConnectionClosed):
			return
		default:
			pause = joinAgain
		}
		select {
		case <-ctx.Done():
		case <-s.rejoin:
		case <-time.After(pause):
		}
	}
}
