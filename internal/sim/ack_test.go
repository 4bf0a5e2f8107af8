package sim

import (
	"testing"

	"github.com/askback/askback/internal/recovery/ack"
)

// Strategy ack loses no tuple under any fault, and the sinks' state is complete too.
func TestAck(t *testing.T) {
	report, err := Sweep(1, scaled(800), 1, func(seed uint64) Scenario {
		return under("ack", seed)
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range report.Failures[:min(3, len(report.Failures))] {
		t.Errorf("%v", r)
	}
	if c := report.Total; c.Crashes == 0 || c.Zombies == 0 || c.Fenced == 0 || c.Cuts == 0 || c.Losses == 0 || c.Counters.Resent == 0 {
		t.Errorf("some fault did not happen at all: %+v", c)
	}
}

// Each rule that strategy ack is made to break is found out.
func TestAckPlantedBugs(t *testing.T) {
	for _, c := range []struct {
		bug    ack.Bug
		within uint64
	}{
		{ack.EarlyTrim, 20}, {ack.EarlyEnd, 200}, {ack.NoStepBack, 30}, {ack.NoResend, 30},
	} {
		t.Run(string(c.bug), func(t *testing.T) {
			mustCatch(t, Bug(c.bug), c.within, func(seed uint64) Scenario { return under("ack", seed) })
		})
	}
}
