package supervisor

import (
	"context"
	"syscall"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/nimbus"
)

// A supervisor and a real nimbus understand each other.
func TestWithNimbus(t *testing.T) {
	s := newSite(t)
	if err := s.leader.Close(); err != nil {
		t.Fatal(err)
	}
	s.answers(func(string, []byte) any { return nil })
	n, err := nimbus.New(nimbus.Config{Connection: *s.connection(), Name: "real", Detection: 2 * time.Second, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()
	s.supervise(nil)
	s.happened(cluster.HostJoined, host)

	limit, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	spec := s.record("words").Spec
	r, err := natscluster.Request[cluster.Record](limit, s.nc, s.p.API(cluster.Operate, cluster.VerbSubmit), cluster.SubmitRequest{
		Spec: spec, Artefact: s.program, Args: []string{"beat"}, Workers: 2, Nonce: "once",
	})
	if err != nil {
		t.Fatal(err)
	}
	up := func() *cluster.HostHeartbeat {
		b := s.last()
		for _, p := range b.Workers {
			if p.State != cluster.ProcessRunning || p.Slot.Instance != r.Instance {
				return nil
			}
		}
		if len(b.Workers) != 2 {
			return nil
		}
		return &b
	}
	s.within(20*time.Second, "two workers", func() bool { return up() != nil })
	was := up().Workers[0]
	if err := syscall.Kill(was.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.within(20*time.Second, "two workers again, in the same slots", func() bool {
		b := up()
		return b != nil && b.Workers[0].Restarts == 1 && b.Workers[0].Slot == was.Slot
	})
	if _, err := natscluster.Request[cluster.Record](limit, s.nc, s.p.API(cluster.Operate, cluster.VerbKill), cluster.KillRequest{Name: "words"}); err != nil {
		t.Fatal(err)
	}
	s.within(20*time.Second, "no worker", func() bool { return len(s.last().Workers) == 0 })
}
