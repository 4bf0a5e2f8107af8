package wordcheck

import (
	"context"
	"sync/atomic"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/state"
	"github.com/askback/askback/stream"
)

// A Total is a word, and how often it was counted.
type Total = stream.Entry[[]byte, int64]

// A result is the sink of a local run: it gathers the totals, for the program to read after the run.
type result struct{ n *state.Map[string, int64] }

func (r *result) Prepare(ctx bolt.Context) (err error) {
	r.n, err = state.Open[string, int64](ctx, "result")
	return err
}

func (r *result) Write(_ context.Context, t Total) error {
	*r.n.At(t.Key) += t.Value
	return nil
}

// newest holds the newest incarnation of the result.
type newest struct{ atomic.Pointer[result] }

func (p *newest) New() stream.Writer[Total] {
	r := &result{}
	p.Store(r)
	return r
}

// cutBetweenWords returns the length of the longest prefix of b that does not end within a word: where a line of many
// megabytes may be cut.
func cutBetweenWords(b []byte) int {
	for n := len(b); n > 0; n-- {
		if !words.Is(b[n-1]) {
			return n
		}
	}
	return 0
}
