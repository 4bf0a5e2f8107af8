// Package strategy names the recovery strategies and their guarantees. A Strategy is a value: a program
// passes one to askback.WithStrategy, and a command line reads one with Named.
//
//	askback.Run(ctx, t, askback.WithStrategy(strategy.Barrier))
package strategy
