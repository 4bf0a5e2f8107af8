package worker

import (
	"context"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// renew has the worker's JWT replaced when half its life is over, until ctx ends. The new one counts from the next
// connection on, which the server asks for when the old one has expired.
func (w *worker) renew(ctx context.Context) {
	var token string
	var since time.Time
	for {
		if now := w.user.JWT(); now != token {
			token, since = now, time.Now() // an order may have brought it
		}
		pause := time.Minute
		if until := w.user.Expires(); !until.IsZero() {
			if life := until.Sub(since); time.Since(since) > life/2 {
				w.askForJWT(ctx, life/4)
			}
			pause = min(pause, max(100*time.Millisecond, time.Until(until)/20))
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// askForJWT asks nimbus for a JWT. It is asked again if it does not answer in time.
func (w *worker) askForJWT(ctx context.Context, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, max(limit, time.Second))
	defer cancel()
	slot := w.launch.Slot
	reply, err := natscluster.Request[cluster.LoginReply](ctx, w.nc, w.subjects.WorkerAPI(slot, cluster.VerbRenew),
		cluster.LoginRequest{Slot: slot, Key: w.user.Key()})
	switch {
	case err != nil:
		w.log.Warn("the JWT cannot be renewed yet", zap.Time("expires", w.user.Expires()), zap.Error(err))
	case reply.JWT != "":
		w.user.SetJWT(reply.JWT)
		w.log.Info("the JWT was renewed", zap.Time("expires", w.user.Expires()))
	}
}
