//go:build !unix

package bench

import "time"

// This system has no figure.
func cpuTime() time.Duration { return 0 }
func resident() int64        { return 0 }
