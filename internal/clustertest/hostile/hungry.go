package main

import (
	"context"
	"os"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/tuple"
)

var eaten [][]byte

// eat takes 16 MiB for each tuple, and touches them.
func eat(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
	if _, err := os.Stat(*during); err == nil {
		b := make([]byte, 16<<20)
		for i := 0; i < len(b); i += 4096 {
			b[i] = 1
		}
		eaten = append(eaten, b)
	}
	return pass(ctx, t, out)
}
