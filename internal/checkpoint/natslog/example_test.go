package natslog_test

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/msgid"
)

func Example() {
	nc, err := nats.Connect(nats.DefaultURL, nats.MaxReconnects(-1))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer nc.Close()
	ctx := context.Background()
	log, err := natslog.Open(ctx, nc, natslog.Options{Topology: "wordcount", Durability: natslog.Power})
	if err != nil {
		fmt.Println(err)
		return
	}
	w, history, err := checkpoint.Open(ctx, log, msgid.Alias{Operator: "count", Index: 3}, checkpoint.Options{
		Pause: func(ctx context.Context, attempt int) error {
			select {
			case <-time.After(min(time.Duration(attempt)*10*time.Millisecond, time.Second)):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.Incarnation(), len(history.Chain), len(history.Determinants))
}
