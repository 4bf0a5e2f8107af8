package task

import (
	"context"
	"fmt"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// Open begins a new incarnation in a task's log, and returns the history to restore it from: with the newest snapshot, or
// the one that a base decides on, if there is a base. It fails as checkpoint.Open does, and with checkpoint.ErrDamaged when
// the chosen snapshot is not there.
func Open(ctx context.Context, log checkpoint.Log, alias msgid.Alias, base *recovery.Base, opt checkpoint.Options) (*checkpoint.Writer, *checkpoint.History, error) {
	if base == nil || alias.Operator == base.Coordinator {
		return checkpoint.Open(ctx, log, alias, opt)
	}
	decided, err := checkpoint.Peek(ctx, log, msgid.Alias{Operator: base.Coordinator}, opt)
	if err != nil {
		return nil, nil, fmt.Errorf("read from which checkpoint to restore %v: %w", alias, err)
	}
	var decision []byte
	if n := len(decided.Chain); n > 0 {
		_, decision, _, _ = cutSnapshot(decided.Chain[n-1])
	}
	opt.Accept = func(snapshot []byte) bool {
		_, machine, _, err := cutSnapshot(snapshot)
		return err == nil && base.Accepts(decision, machine)
	}
	w, h, err := checkpoint.Open(ctx, log, alias, opt)
	if err == nil && len(h.Chain) == 0 && !base.Accepts(decision, nil) {
		err = &checkpoint.DamagedError{Alias: alias, What: "the snapshot of the checkpoint that the topology goes back to is not there"}
	}
	return w, h, err
}
