package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/client"
)

func tapCommand() *cobra.Command {
	var sample string
	var length time.Duration
	var query client.TapQuery
	o := &oneTopology{
		use: "tap NAME SOURCE>TARGET", short: "Print tuples as they pass, without redeploying",
		long: `Tap listens to the tuples that one operator sends to another, and prints them as JSON, one a line, with the names of
their fields. The topology does not notice. All tuples pass at full speed, so take a sample of a busy stream: 1/100
prints each tuple whose sequence number is a multiple of 100, hence the same ones if they are sent again. Tuples that
come faster than they can be printed are skipped, and the end says how many. Tuples that are sent again to a task that
is restored travel elsewhere, and do not appear.`,
		example: `  askback tap wordcount 'split>count' --sample 1/1000
  askback tap wordcount 'split.0>count.1' --count 10
  askback tap wordcount 'split:errors>dead' --for 1m`,
		more: 1, complete: edgesOf,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&sample, "sample", "1/1", "which part of the tuples to print, one in n")
			cmd.Flags().IntVar(&query.Count, "count", 0, "how many tuples to print (default: until Ctrl-C)")
			cmd.Flags().DurationVar(&length, "for", 0, "how long to listen (default: until Ctrl-C)")
		},
	}
	o.check = func(args []string) (err error) {
		if query.Route, err = client.ParseRoute(args[1]); err != nil {
			return err
		}
		if query.Count < 0 || length < 0 {
			return errors.New("--count and --for: want more than 0")
		}
		query.Every, err = parseSample(sample)
		return err
	}
	o.run = func(ctx context.Context, s *session, args []string) error {
		if length > 0 {
			var stop func()
			ctx, stop = context.WithTimeout(ctx, length)
			defer stop()
		}
		query.Topology = args[0]
		query.OnListening = func(i cluster.Instance) { fmt.Fprintf(s.err, "listening to %v of %s\n", query.Route, i) }
		result, err := s.Tap(ctx, query, func(line []byte) error {
			_, err := s.out.Write(line)
			return err
		})
		if n := result.Skipped; n > 0 {
			fmt.Fprintf(s.err, "%s tuples came faster than they could be printed, and were skipped; a smaller --sample helps\n", grouped(n))
		}
		if n := result.Dropped; n > 0 {
			fmt.Fprintf(s.err, "%s frames came faster than they could be read, and were dropped\n", grouped(n))
		}
		if n := result.Damaged; n > 0 {
			fmt.Fprintf(s.err, "%s messages were no frames of this topology's plan\n", grouped(n))
		}
		return err
	}
	return o.command()
}

// parseSample reads "1/100", or "100".
func parseSample(text string) (every uint64, err error) {
	every, err = strconv.ParseUint(strings.TrimPrefix(text, "1/"), 10, 64)
	if err != nil || every == 0 {
		return 0, fmt.Errorf("--sample %.40q: want 1/n, such as 1/100", text)
	}
	return every, nil
}
