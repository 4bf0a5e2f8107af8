package backtrack

import (
	"errors"
	"testing"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
)

// A Finish may request determinants too. In a replay they come after the last turn, and no entry begins them; a Finish that
// requests fewer than are recorded is refused.
func TestFinishIsRepeated(t *testing.T) {
	kind := kindOf(recovery.DeterminantTime)
	for name, choices := range map[string]int{"as recorded": 2, "more": 3, "fewer": 1, "none": 0} {
		t.Run(name, func(t *testing.T) {
			d := drive(machine(t, ports(), recovery.History{Incarnation: 2, Determinants: [][]byte{
				encodeDeterminants(4, []entry{{turn, 1, 1, ""}, {turn, 0, 1, ""}, {kind, 0, 70, ""}, {kind, 0, 71, ""}}),
			}}))
			for port := range recovery.Input(2) {
				b := channel.NewBuilder(1, uint32(port), 1, 1, 0, 1<<10)
				b.Append([]byte{0x91, 0x01})
				d.step(recovery.Event{Kind: recovery.FrameReceived, Input: port, Frame: b.Seal()})
			}
			for _, port := range []recovery.Input{1, 0} {
				if did := d.step(recovery.Event{Kind: recovery.Ready}); len(did) != 1 || did[0].Kind != recovery.Deliver || did[0].Input != port {
					t.Fatalf("want the turn of input %d: %+v", port, did)
				}
				d.step(recovery.Event{Kind: recovery.EndOfInput, Input: port})
				d.step(recovery.Event{Kind: recovery.Consumed})
			}
			if did := d.step(recovery.Event{Kind: recovery.Ready}); len(did) != 1 || did[0].Kind != recovery.Finish {
				t.Fatalf("want a finish: %+v", did)
			}
			for k := range choices {
				did := d.step(recovery.Event{Kind: recovery.DeterminantRequested, Determinant: recovery.DeterminantTime, Value: 99})
				if want := []uint64{70, 71, 99}[k]; did[0].Kind != recovery.ReturnDeterminant || did[0].Value != want {
					t.Errorf("determinant %d is %+v, want %d", k, did, want)
				}
			}
			did := d.step(recovery.Event{Kind: recovery.Ended})
			var replay *recovery.ReplayError
			if refused := len(did) == 1 && errors.As(did[0].Err, &replay); refused != (choices < 2) {
				t.Errorf("refused %v: %+v", refused, did)
			}
		})
	}
}
