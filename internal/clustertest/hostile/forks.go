package main

import (
	"context"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/tuple"
)

// A forks bolt leaves children in its session, in a session of their own, and orphaned ones.
type forks struct{}

func (forks) Prepare(bolt.Context) error {
	signal.Ignore(syscall.SIGTERM) // also the signal that the library subscribes to
	for _, c := range []struct {
		script  string
		session bool
	}{
		{"trap '' TERM; sleep " + *mark + " & sleep " + *mark, false},
		{"trap '' TERM; sleep " + *mark, true},
		{"trap '' TERM; setsid sleep " + *mark + " & exit 0", true},
	} {
		cmd := exec.Command("sh", "-c", c.script)
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: c.session}
		if err := cmd.Start(); err != nil {
			return err
		}
		go func() { _ = cmd.Wait() }()
	}
	return nil
}

func (forks) Execute(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
	return pass(ctx, t, out)
}
