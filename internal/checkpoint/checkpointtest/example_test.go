package checkpointtest_test

import (
	"testing"

	"github.com/askback/askback/internal/checkpoint/checkpointtest"
	"github.com/askback/askback/internal/checkpoint/memlog"
)

// A log's package has a test such as this one.
func ExampleRun() {
	_ = func(t *testing.T) {
		checkpointtest.Run(t, func(testing.TB) checkpointtest.Subject {
			return checkpointtest.Subject{Log: memlog.New(memlog.Options{})}
		})
	}
}
