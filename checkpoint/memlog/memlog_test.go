package memlog_test

import (
	"testing"

	"github.com/askback/askback/checkpoint/checkpointtest"
	"github.com/askback/askback/checkpoint/memlog"
)

func TestConformance(t *testing.T) {
	checkpointtest.Run(t, func(testing.TB) checkpointtest.Subject {
		l := memlog.New(memlog.Options{})
		return checkpointtest.Subject{Log: l, Vanish: l.Vanish}
	})
}
