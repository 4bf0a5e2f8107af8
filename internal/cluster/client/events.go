package client

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// Explain returns the newest events of a topology, at most limit (0: 1000), its lost tuples and its failure. The name ""
// is the cluster.
func (c *Client) Explain(ctx context.Context, name string, limit int) (*cluster.ExplainReply, error) {
	return ask[*cluster.ExplainReply](ctx, c, cluster.View, cluster.VerbExplain, cluster.ExplainRequest{Name: name, Limit: limit})
}

// followEvery is how often FollowEvents reads new events.
const followEvery = time.Second

// FollowEvents calls f for the events that Explain returns, then for each new one, until ctx ends (it returns nil) or f
// returns an error. An event that is already there again in the next answer is not repeated. While no nimbus answers it
// goes on trying.
func (c *Client) FollowEvents(ctx context.Context, name string, limit int, f func(*cluster.Event) error) error {
	seen := map[string]bool{} // of the last answer
	for first := true; ; first = false {
		reply, err := c.Explain(ctx, name, limit)
		switch {
		case err != nil && ctx.Err() != nil && !first:
			return nil
		case err != nil && (first || !unavailable(err)):
			return err
		case err == nil:
			if seen, err = newEvents(reply.Events, seen, f); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
	}
}

// newEvents calls f for the events that are not in seen, and returns all of them.
func newEvents(events []cluster.Event, seen map[string]bool, f func(*cluster.Event) error) (map[string]bool, error) {
	all := make(map[string]bool, len(events))
	for i := range events {
		key, err := json.Marshal(&events[i])
		if err != nil {
			return nil, err
		}
		if all[string(key)] = true; seen[string(key)] {
			continue
		}
		if err := f(&events[i]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// unavailable reports whether the same request may succeed later.
func unavailable(err error) bool {
	var refused *cluster.RequestError
	return errors.Is(err, cluster.ErrNoNimbus) || errors.Is(err, ErrUnreachable) || errors.As(err, &refused) && refused.Code == cluster.CodeUnavailable
}
