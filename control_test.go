package askback_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/inject"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A controller kills the task that it is given, and no other, and the inside shows the traffic.
func TestControl(t *testing.T) {
	b := topology.New("controlled")
	b.Spout("numbers", spout.Generate(20_000, func(i int64, out spout.Emitter) error { return out.Emit(i) }).Rate(40_000)).Fields("n")
	b.Bolt("pass", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error { return out.Row().Int(t.Int(0)).Emit() })).Shuffle("numbers").Fields("n")
	b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })).Global("pass")
	killed, seen := make(chan error, 1), make(chan error, 1)
	control := faults.Control(func(c *faults.Controller) {
		go func() {
			time.Sleep(200 * time.Millisecond)
			switch {
			case len(c.Plan().Tasks) != 3:
				killed <- errors.New("the controller does not see the three tasks")
			case c.Kill(msgid.Alias{Operator: "nobody"}):
				killed <- errors.New("a task that is not there was killed")
			case !c.Kill(msgid.Alias{Operator: "pass"}):
				killed <- errors.New("pass.0 could not be killed")
			default:
				killed <- nil
			}
		}()
	})
	inside := inject.Option(func(f *inject.Faults) {
		f.Started = append(f.Started, func(r inject.Run) {
			go func() {
				time.Sleep(200 * time.Millisecond)
				messages, bytes := r.Logged()
				if len(r.Tasks()) != 3 || r.Traffic().Kinds[channel.Data].Sent == 0 || messages == 0 || bytes == 0 {
					seen <- errors.New("the inside shows no traffic")
					return
				}
				seen <- nil
			}()
		})
	}).(askback.Option)
	report, err := askback.Run(t.Context(), b, control, inside)
	if err := errors.Join(err, <-killed, <-seen); err != nil {
		t.Fatal(err)
	}
	for _, i := range report.Tasks {
		if want := map[bool]int{true: 1}[i.Alias.Operator == "pass"]; i.Restarts != want || i.State != askback.Complete {
			t.Errorf("%v: %d restarts and %v, want %d and complete", i.Alias, i.Restarts, i.State, want)
		}
	}
	operators := report.Operators()
	if len(operators) != 3 || operators[1].Operator != "pass" || operators[2].Consumed != report.Tasks[2].Counts.Consumed {
		t.Errorf("%+v", operators)
	}
}
