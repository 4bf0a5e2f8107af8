package main

import (
	"bytes"
	"context"
	"encoding/json"
	"testing"

	"github.com/askback/askback/internal/cluster/standin"
)

// A stage is a cluster on which tests play nimbus and supervisors.
type stage struct {
	*standin.Cluster
	t *testing.T
}

func newStage(t *testing.T) *stage {
	t.Helper()
	return &stage{standin.Start(t), t}
}

// run runs a command line against the stage.
func (s *stage) run(ctx context.Context, args ...string) (out, progress string, err error) {
	return compared(ctx, append(args, "--server", s.URL())...)
}

// compactJSON removes the white space between the parts of a JSON text.
func compactJSON(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return b.String()
}
