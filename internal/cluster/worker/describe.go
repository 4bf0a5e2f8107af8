package worker

import (
	"fmt"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/strategies"
	"github.com/askback/askback/topology"
)

// Describe returns a topology program's description of its topology. Nimbus places its tasks, and workers must agree
// with it. The name is the program's own; a submission may give another.
func Describe(b *topology.Builder, strategyName string, settings recovery.Config, frameSize int) (*cluster.Spec, error) {
	s, err := strategies.Named(strategyName)
	if err != nil {
		return nil, err
	}
	plan, err := b.BuildWith(s.Extension, s.Described())
	if err != nil {
		return nil, err
	}
	spec := &cluster.Spec{Name: plan.Name, Plan: plan.Version, Strategy: s.String(), Settings: settingsOf(&settings), FrameSize: frameSize}
	channels := uint32(0)
	for _, o := range plan.Operators {
		described := cluster.Operator{
			Name: o.Name, Spout: o.Spout != nil, System: o.System, Parallel: o.Parallel,
			CPU: o.CPU, Memory: o.Memory, Log: s.Keeps(o),
		}
		for _, stream := range o.Streams {
			described.Streams = append(described.Streams, cluster.Stream{Name: stream.Name, Fields: stream.Fields.Names()})
			for _, e := range stream.Edges {
				spec.Edges = append(spec.Edges, cluster.Edge{
					From: o.Name, Stream: stream.Name, To: e.To.Name, Grouping: e.Grouping.String(), Targets: e.Targets(), First: channels,
				})
				channels += uint32(o.Parallel * e.Targets())
			}
		}
		spec.Operators = append(spec.Operators, described)
	}
	if err := spec.Check(); err != nil {
		return nil, fmt.Errorf("worker: describe: %w", err)
	}
	return spec, nil
}
