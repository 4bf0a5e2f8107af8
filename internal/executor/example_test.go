package executor_test

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/internal/executor"
	"github.com/askback/askback/internal/recovery/backtrack"
	"github.com/askback/askback/internal/task"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
)

// Each task of a plan has a supervisor. The topology has ended when every task is complete.
func Example() {
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	got := bolt.NewCollector()
	b := topology.New("example")
	b.Spout("words", spout.Slice("to", "be")).Fields("word")
	b.Bolt("result", got.New).Shuffle("words")
	plan, err := b.Build()
	if err != nil {
		fmt.Println(err)
		return
	}
	server, err := embed.Start(embed.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Stop()
	transport, err := natschan.Dial(natschan.Config{InProcess: server.InProcess(), Topology: plan.Name})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer transport.Close()
	log := memlog.New(memlog.Options{})

	var group sync.WaitGroup
	var tasks []*executor.Executor
	for _, t := range plan.Tasks {
		s := executor.New(executor.Options{
			Config:    task.Config{Plan: plan, Task: t, Strategy: backtrack.New},
			Transport: transport,
			Log:       log,
		})
		tasks = append(tasks, s)
		group.Go(func() {
			if err := s.Run(ctx); err != nil {
				fmt.Println(err)
				stop()
			}
		})
	}
	for _, s := range tasks {
		for ctx.Err() == nil {
			changed := s.Changed()
			if s.Info().State == executor.Complete {
				break
			}
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
	}
	stop()
	group.Wait()
	for _, s := range tasks {
		fmt.Println(s.Info().Alias, s.Info().State)
	}
	fmt.Println(got.Rows())
	// Output:
	// words.0 complete
	// result.0 complete
	// [[to] [be]]
}
