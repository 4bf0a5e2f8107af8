package barrier_test

import (
	"errors"
	"testing"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/barrier"
	"github.com/askback/askback/internal/recovery/recoverytest"
	"github.com/askback/askback/msgid"
)

func TestConformance(t *testing.T) {
	recoverytest.Run(t, barrier.New, recoverytest.Features{ExactlyOnce: true, Base: &barrier.Base})
}

func TestRestoreErrors(t *testing.T) {
	a, coordinator := msgid.Alias{Operator: "a"}, msgid.Alias{Operator: barrier.Operator}
	control := []recovery.Port{{ID: msgid.Channel{Source: a, Target: coordinator}}}
	for name, c := range map[string]struct {
		cfg   recovery.Config
		chain [][]byte
	}{
		"no coordinator": {cfg: recovery.Config{Self: a}},
		"empty":          {recovery.Config{Self: a, Outputs: control}, [][]byte{{}}},
		"version":        {recovery.Config{Self: a, Outputs: control}, [][]byte{{9, 0}}},
		"cut short":      {recovery.Config{Self: a, Outputs: control}, [][]byte{{1, 0, 1}}},
		"other role":     {recovery.Config{Self: coordinator, Inputs: control}, [][]byte{{1, 0, 1, 2, 3}}},
		"decision":       {recovery.Config{Self: coordinator, Inputs: control}, [][]byte{{1, 1, 1, 2, 3}}},
	} {
		_, err := barrier.New(c.cfg, recovery.History{Incarnation: 2, Chain: c.chain})
		if err == nil || c.chain != nil && !errors.Is(err, checkpoint.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzBase: with any bytes in a log, choosing the snapshot to restore does not panic, and damaged records do not count.
func FuzzBase(f *testing.F) {
	f.Add([]byte{1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, []byte{1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, decision, snapshot []byte) {
		if barrier.Base.Accepts(decision, snapshot) && (len(decision) != 15 || len(snapshot) < 10) && decision != nil && snapshot != nil {
			t.Errorf("%x accepts %x", decision, snapshot)
		}
	})
}
