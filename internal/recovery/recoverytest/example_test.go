package recoverytest_test

import (
	"testing"

	"github.com/askback/askback/internal/recovery/none"
	"github.com/askback/askback/internal/recovery/recoverytest"
)

// A strategy's package has a test such as this one. It declares the strategy's guarantees.
func ExampleRun() {
	_ = func(t *testing.T) {
		recoverytest.Run(t, none.New, recoverytest.Features{})
	}
}
