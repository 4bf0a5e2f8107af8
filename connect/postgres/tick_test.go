package postgres

import (
	"database/sql"
	"testing"
	"time"

	"github.com/askback/askback/stream"
)

// A typed sink is ticked although its program does not ask for it, where rows could wait.
func TestTypedSinkTicks(t *testing.T) {
	config := Config{Open: func() (*sql.DB, error) { return nil, sql.ErrConnDone }, Table: "words"}
	held, single := config, config
	held.Hold, single.Batch = true, 1
	for name, c := range map[string]struct {
		Config
		tick, want time.Duration
	}{
		"direct":          {config, 0, time.Second},
		"direct, its own": {config, time.Minute, time.Minute},
		"held":            {held, 0, 0},
		"batches of one":  {single, 0, 0},
	} {
		top := stream.New("words")
		out := stream.To(stream.From(top, "words", stream.Slice[word]()), "out", Sink[word](c.Config))
		if c.tick > 0 {
			out.Tick(c.tick)
		}
		plan, err := top.Builder().Build()
		check(t, err)
		if got := plan.Operator("out").Tick; got != c.want {
			t.Errorf("%s: ticked every %v, want %v", name, got, c.want)
		}
	}
}
