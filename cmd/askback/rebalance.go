package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
)

func rebalanceCommand() *cobra.Command {
	var workers int
	var parallel []string
	o := &oneTopology{
		use: "rebalance NAME", short: "Place a topology's tasks afresh, or change how many there are",
		long: `Rebalance spreads a topology over the supervisors as they are now, with another number of workers if --workers says
so. Tasks that move are restored from their logs, as after a failure; the others go on.

With --parallel an operator that keeps nothing from tuple to tuple gets another number of tasks. For that the topology
comes to a standstill, which takes some seconds, and goes on as another instance: all other operators keep their state.
If it does not come to a standstill within half a minute, it goes on as it was.`,
		example: `  askback rebalance wordcount --workers 4
  askback rebalance wordcount --parallel split=4`,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&workers, "workers", 0, "how many workers it is to have (default: as many as before)")
			cmd.Flags().StringArrayVar(&parallel, "parallel", nil, "how many tasks an operator is to have, such as split=4; may be given again")
		},
	}
	var numbers map[string]int
	o.check = func([]string) (err error) {
		if workers < 0 {
			return fmt.Errorf("--workers %d: want 1 or more", workers)
		}
		numbers, err = parseParallel(parallel)
		if err == nil && len(numbers) > 0 && workers > 0 {
			err = fmt.Errorf("--workers and --parallel: ask for one after the other")
		}
		return err
	}
	o.run = func(ctx context.Context, s *session, args []string) error {
		r, err := ask[cluster.Record](ctx, s, cluster.Operate, cluster.VerbRebalance,
			cluster.RebalanceRequest{Name: args[0], Workers: workers, Parallel: numbers})
		if err == nil && r.Rescale != nil {
			r, err = s.rescaled(ctx, args[0], r)
		}
		if err != nil {
			return err
		}
		return s.print(r, func() error {
			if r.Shortage != "" {
				fmt.Fprintln(s.err, printable("short: "+r.Shortage))
			}
			if len(numbers) > 0 {
				return s.say("%s has %s; \"askback describe %[1]s\" shows where", args[0], plural(len(r.Spec.Tasks()), "task"))
			}
			return s.say("%s is spread over %s; \"askback describe %[1]s\" shows where", args[0], plural(r.Workers, "worker"))
		})
	}
	return o.command()
}

// parseParallel reads what --parallel says.
func parseParallel(all []string) (map[string]int, error) {
	if len(all) == 0 {
		return nil, nil
	}
	numbers := map[string]int{}
	for _, one := range all {
		operator, text, ok := strings.Cut(one, "=")
		n, err := strconv.Atoi(text)
		if _, twice := numbers[operator]; !ok || err != nil || twice {
			return nil, fmt.Errorf("--parallel %.80q: want an operator and a number of tasks, such as split=4, once for each operator", one)
		}
		numbers[operator] = n
	}
	return numbers, cluster.CheckParallelism(numbers)
}

// rescaled waits until a topology has got its numbers of tasks, or goes on as it was.
func (s *session) rescaled(ctx context.Context, name string, asked cluster.Record) (cluster.Record, error) {
	fmt.Fprintln(s.err, printable(name+" comes to a standstill …"))
	for {
		select {
		case <-ctx.Done():
			return asked, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
		d, err := s.find(ctx, name)
		if err != nil {
			return asked, err
		}
		switch r := d.Record; {
		case r.Rescale != nil:
		case r.Instance == asked.Rescale.Instance:
			return r, nil
		case r.Instance != asked.Instance:
			return r, fmt.Errorf("%s was killed meanwhile, and submitted anew", name)
		default:
			return r, &cluster.RequestError{Code: cluster.CodeConflict, Text: name + " goes on as it was: " + r.Reason}
		}
	}
}
