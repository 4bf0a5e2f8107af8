// Package strategy names the recovery strategies, and says of each what it promises and what it needs: which tasks
// keep a log, and what it adds to a topology. Whoever runs a topology, and whoever simulates one, chooses here:
//
//	s, err := strategy.Named("backtrack")
//	plan, err := builder.BuildWith(s.Extension, s.Described())
package strategy
