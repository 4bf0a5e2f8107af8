package core

import (
	"fmt"

	"github.com/askback/askback/internal/cluster"
)

func badRequest(format string, args ...any) error {
	return refusal(cluster.CodeBadRequest, format, args...)
}
func notFound(format string, args ...any) error {
	return refusal(cluster.CodeNotFound, format, args...)
}
func conflict(format string, args ...any) error {
	return refusal(cluster.CodeConflict, format, args...)
}

// unavailable is a refusal after which the same may be asked again.
func unavailable(format string, args ...any) error {
	return refusal(cluster.CodeUnavailable, format, args...)
}

func refusal(code cluster.ErrCode, format string, args ...any) error {
	return &cluster.RequestError{Code: code, Text: fmt.Sprintf(format, args...)}
}
