package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster/client"
)

// completionTime is how long a completion may take.
const completionTime = time.Second

// completing completes with names that come from a cluster, and with nothing if there is none.
func (c *clientFlags) completing(cmd *cobra.Command, names func(ctx context.Context, s *session) []string) ([]string, cobra.ShellCompDirective) {
	ctx, stop := context.WithTimeout(context.Background(), completionTime)
	defer stop()
	c.timeout = completionTime
	s, err := c.dial(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer s.Close()
	return names(ctx, s), cobra.ShellCompDirectiveNoFileComp
}

// completion completes the name of a topology, and then the argument after it.
func (o *oneTopology) completion(cmd *cobra.Command, args []string) ([]string, cobra.ShellCompDirective) {
	return o.completing(cmd, func(ctx context.Context, s *session) (names []string) {
		if len(args) > 0 {
			if o.complete == nil || topologyName(args[0]) != nil {
				return nil
			}
			return o.complete(s, ctx, args[0])
		}
		list, err := s.List(ctx)
		if err != nil {
			return nil
		}
		for _, t := range list.Topologies {
			names = append(names, t.Name+"\t"+printable(string(t.Status)))
		}
		return names
	})
}

// tasksOf completes the name of a task of a topology.
func tasksOf(s *session, ctx context.Context, name string) (tasks []string) {
	d, err := s.Describe(ctx, name)
	if err != nil {
		return nil
	}
	for _, t := range d.Record.Spec.Tasks() {
		tasks = append(tasks, t.String())
	}
	return tasks
}

// edgesOf completes an edge of a topology, in the form of tap.
func edgesOf(s *session, ctx context.Context, name string) (edges []string) {
	d, err := s.Describe(ctx, name)
	if err != nil {
		return nil
	}
	for i := range d.Record.Spec.Edges {
		e := &d.Record.Spec.Edges[i]
		edges = append(edges, client.RouteOf(e).String()+"\t"+printable(e.Grouping))
	}
	return edges
}
