package none_test

import (
	"testing"

	"github.com/askback/askback/recovery/none"
	"github.com/askback/askback/recovery/recoverytest"
)

func TestConformance(t *testing.T) {
	recoverytest.Run(t, none.New, recoverytest.Features{AtMostOnce: true})
}
