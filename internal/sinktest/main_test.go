package sinktest_test

import (
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"go.uber.org/goleak"

	"github.com/askback/askback/internal/natstest"
)

func TestMain(m *testing.M) {
	natstest.Main() // a NATS server that is killed is this binary
	goleak.VerifyTestMain(m)
}
