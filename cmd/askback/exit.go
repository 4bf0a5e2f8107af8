package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/auth"
	"github.com/askback/askback/internal/cluster/client"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// Exit statuses, for scripts.
const (
	exitError       = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitConflict    = 4
	exitUnreachable = 5
	exitDenied      = 6
	exitInterrupted = 130 // as a shell reports a command that Ctrl-C ended
)

const exitHelp = `Exit statuses: 0 it was done, 1 it failed, 2 the command line or a name is wrong, 3 there is no such topology, 4 it
exists or is not in a state for this, 5 no nimbus answers or there is no room (try later), 6 it is not
permitted.`

// errUsage marks errors of the command line.
var errUsage = errors.New("usage")

// A usageError marks a wrong command line. It prints as the error that it wraps.
type usageError struct{ error }

func (e usageError) Unwrap() []error { return []error{e.error, errUsage} }

func usage(err error) error { return usageError{err} }

// exitStatus returns the exit status of an error.
func exitStatus(err error) int {
	refused := (*cluster.RequestError)(nil)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled):
		return exitInterrupted
	case errors.Is(err, errUsage), errors.Is(err, cluster.ErrName), errors.Is(err, auth.ErrOptions), strings.HasPrefix(err.Error(), "unknown command"):
		return exitUsage
	case errors.Is(err, client.ErrDenied), errors.Is(err, natscluster.ErrInsecure), errors.Is(err, natscluster.ErrCredentials):
		return exitDenied
	case errors.Is(err, client.ErrUnreachable), errors.Is(err, cluster.ErrNoNimbus):
		return exitUnreachable
	case errors.As(err, &refused):
		switch refused.Code {
		case cluster.CodeNotFound:
			return exitNotFound
		case cluster.CodeConflict:
			return exitConflict
		case cluster.CodeUnavailable:
			return exitUnreachable
		case cluster.CodeBadRequest:
			return exitUsage
		}
	}
	return exitError
}

// exactly is cobra.ExactArgs with an error that shows the usage.
func exactly(n int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usage(fmt.Errorf("want %q, got %d arguments", cmd.UseLine(), len(args)))
		}
		return nil
	}
}
