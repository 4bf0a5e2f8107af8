package clustertest

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// TestPowerCut is row 16: all NATS servers lose what they have acknowledged in the last seconds, as a power cut has it
// where durability is "process".
func TestPowerCut(t *testing.T) {
	unlessCI(t)
	parts(t, start, []part{
		{"the workers live", (*fixture).powerCut},
		{"a worker dies too", (*fixture).powerCutForAll},
	})
}

// powerCut: the workers still have what the servers have lost, so the count goes on and is right.
func (f *fixture) powerCut() {
	r := f.submit("power-cut")
	f.loseSeconds(r, 2*time.Second, func() {})
	r.harmAll()
	r.outcome()
}

// powerCutForAll: the workers' memory is lost too. Either nothing of it is missed, or the topology refuses to go on.
func (f *fixture) powerCutForAll() {
	r := f.submitTo("power-cut-for-all", 3, 60_000)
	time.Sleep(3 * time.Second)
	f.loseSeconds(r, 5*time.Second, func() { r.kill(r.worker()) })
	r.harmAll()
	r.outcome()
}

// loseSeconds takes from all NATS servers what they have written for a while, as they are killed. Something else is done
// at that moment.
func (f *fixture) loseSeconds(r *run, length time.Duration, also func()) {
	f.t.Helper()
	store, kept := filepath.Join(f.dir, "store"), filepath.Join(f.dir, "kept")
	for _, s := range f.nats {
		s.Signal(syscall.SIGSTOP)
	}
	if err := os.CopyFS(kept, os.DirFS(store)); err != nil {
		f.t.Fatal(err)
	}
	for _, s := range f.nats {
		s.Signal(syscall.SIGCONT)
	}
	before := r.progress()
	time.Sleep(length)
	f.t.Logf("%d %% were read when the stores were copied, %d %% are when the power is cut", before, r.progress())
	also()
	for _, s := range f.nats {
		s.Kill()
	}
	if err := errors.Join(os.RemoveAll(store), os.Rename(kept, store)); err != nil {
		f.t.Fatal(err)
	}
	for n := range f.nats {
		f.startNATS(n)
	}
}

// outcome waits until the count is complete, and right, or is refused with a reason. Nothing between is allowed.
func (r *run) outcome() {
	f := r.f
	f.t.Helper()
	f.eventually(3*time.Minute, "the count is complete, or is refused", func() bool {
		s := r.look().Topology.Status
		return s == cluster.Completed || s == cluster.Failed
	})
	d := r.look()
	if d.Topology.Status == cluster.Completed {
		if err := diff(r.result(), expected(f)); err != nil {
			f.t.Errorf("%s counts wrongly: %v", r.name, err)
		}
	} else if f.t.Logf("refused: %s", d.Topology.Reason); d.Topology.Reason == "" {
		f.t.Error("it gives no reason")
	}
	f.t.Logf("incarnations %v", r.seen)
	f.end(r.name)
}
