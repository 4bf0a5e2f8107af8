package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
)

// completionTime is how long somebody who has pressed the tabulator waits.
const completionTime = time.Second

// completing gives a completion what it asks a cluster for, and nothing if there is none.
func (c *clientFlags) completing(cmd *cobra.Command, names func(ctx context.Context, s *session) []string) ([]string, cobra.ShellCompDirective) {
	ctx, stop := context.WithTimeout(context.Background(), completionTime)
	defer stop()
	c.timeout = completionTime
	s, err := c.dial(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer s.close()
	return names(ctx, s), cobra.ShellCompDirectiveNoFileComp
}

// completion completes the name of a topology, and then what comes after it.
func (o *oneTopology) completion(cmd *cobra.Command, args []string) ([]string, cobra.ShellCompDirective) {
	return o.completing(cmd, func(ctx context.Context, s *session) []string {
		if len(args) > 0 {
			if o.complete == nil || topologyName(args[0]) != nil {
				return nil
			}
			return o.complete(s, ctx, args[0])
		}
		list, _ := ask[cluster.ListReply](ctx, s, cluster.View, cluster.VerbList, struct{}{})
		var names []string
		for _, t := range list.Topologies {
			names = append(names, t.Name+"\t"+printable(string(t.Status)))
		}
		return names
	})
}

// tasksOf completes the name of a task of a topology.
func tasksOf(s *session, ctx context.Context, name string) (tasks []string) {
	d, _ := s.find(ctx, name)
	for _, t := range d.Record.Spec.Tasks() {
		tasks = append(tasks, t.String())
	}
	return tasks
}

// edgesOf completes an edge of a topology, as tap takes it.
func edgesOf(s *session, ctx context.Context, name string) (edges []string) {
	d, _ := s.find(ctx, name)
	for _, e := range d.Record.Spec.Edges {
		r := route{from: e.From, stream: e.Stream, to: e.To, source: -1, target: -1}
		edges = append(edges, r.String()+"\t"+printable(e.Grouping))
	}
	return edges
}
