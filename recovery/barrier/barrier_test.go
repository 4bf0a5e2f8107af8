package barrier_test

import (
	"testing"

	"github.com/askback/askback/recovery/barrier"
	"github.com/askback/askback/recovery/recoverytest"
)

func TestConformance(t *testing.T) {
	recoverytest.Run(t, barrier.New, recoverytest.Features{ExactlyOnce: true, Base: &barrier.Base})
}
