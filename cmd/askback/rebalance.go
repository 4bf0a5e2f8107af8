package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/view"
)

func rebalanceCommand() *cobra.Command {
	var workers int
	var parallel []string
	o := &oneTopology{
		use: "rebalance NAME", short: "Place a topology's tasks afresh, or change how many there are",
		long: `Rebalance spreads a topology over the supervisors as they are now, with another number of workers if --workers asks
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
	o.run = func(ctx context.Context, s *session, args []string) (err error) {
		var r *cluster.Record
		if len(numbers) > 0 {
			r, err = s.Rescale(ctx, args[0], numbers, func() { fmt.Fprintln(s.err, printable(args[0]+" comes to a standstill …")) })
		} else {
			r, err = s.Rebalance(ctx, args[0], workers)
		}
		if err != nil {
			return err
		}
		return s.print(view.OfRecord(r), func() error {
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

// parseParallel reads the values of --parallel.
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
