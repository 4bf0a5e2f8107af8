package ack_test

import (
	"testing"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/ack"
	"github.com/askback/askback/internal/recovery/recoverytest"
)

func TestConformance(t *testing.T) {
	for name, window := range map[string]int{"Window1": 1, "Window3": 3, "Window1000": 1000} {
		t.Run(name, func(t *testing.T) {
			recoverytest.Run(t, windowed(window), recoverytest.Features{AtLeastOnce: true})
		})
	}
}

func windowed(tuples int) recovery.Factory {
	return func(cfg recovery.Config, h recovery.History) (recovery.Machine, error) {
		cfg.AckWindow = tuples
		return ack.New(cfg, h)
	}
}
