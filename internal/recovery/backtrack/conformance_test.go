package backtrack_test

import (
	"testing"

	"github.com/askback/askback/internal/recovery/backtrack"
	"github.com/askback/askback/internal/recovery/recoverytest"
)

func TestConformance(t *testing.T) {
	recoverytest.Run(t, backtrack.New, recoverytest.Features{ExactlyOnce: true})
}
