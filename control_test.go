package askback_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// A control kills the task that it is told to, and no other, and sees what is going on.
func TestControl(t *testing.T) {
	b := topology.New("controlled")
	b.Spout("numbers", spout.Generate(20_000, func(i int64, out spout.Emitter) error { return out.Emit(i) }).Rate(40_000)).Fields("n")
	b.Bolt("pass", bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error { return out.Row().Int(t.Int(0)).Emit() })).Shuffle("numbers").Fields("n")
	b.Bolt("sink", bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })).Global("pass")
	killed := make(chan error, 1)
	report, err := askback.Run(t.Context(), b, askback.WithControl(func(c *askback.Control) {
		go func() {
			time.Sleep(200 * time.Millisecond)
			messages, bytes := c.Logged()
			switch {
			case len(c.Tasks()) != 3 || len(c.Plan().Tasks) != 3:
				killed <- errors.New("the control does not see the three tasks")
			case c.Traffic().Kinds[channel.Data].Sent == 0 || messages == 0 || bytes == 0:
				killed <- errors.New("the control sees no traffic")
			case c.Kill(msgid.Alias{Operator: "nobody"}):
				killed <- errors.New("a task that is not there was killed")
			case !c.Kill(msgid.Alias{Operator: "pass"}):
				killed <- errors.New("pass.0 could not be killed")
			default:
				killed <- nil
			}
		}()
	}))
	if err := errors.Join(err, <-killed); err != nil {
		t.Fatal(err)
	}
	for _, i := range report.Tasks {
		if want := map[bool]int{true: 1}[i.Alias.Operator == "pass"]; i.Restarts != want || i.State != task.Complete {
			t.Errorf("%v: %d restarts and %v, want %d and complete", i.Alias, i.Restarts, i.State, want)
		}
	}
}
