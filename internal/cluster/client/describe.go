package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// ErrNoTopology occurs when a program does not describe its topology. Its main has to call cli.Main, or askback.RunIfWorker
// before it does anything else with its topology.
var ErrNoTopology = errors.New("client: not a topology program")

// describeTimeout is how long a program may take to describe its topology.
const describeTimeout = 30 * time.Second

// maxOutput bounds the kept end of a program's output in bytes. The Spec of a hundred thousand tasks is shorter.
const maxOutput = 16 << 20

// SpecOf runs a program with the arguments of its workers, and returns its description of its topology: the last line
// that it prints.
func SpecOf(ctx context.Context, path string, args []string) (*cluster.Spec, error) {
	path, err := filepath.Abs(path) // a name without a slash is a file here, and not one of PATH
	if err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, describeTimeout)
	defer cancel()
	out, complaint := &bounded{most: maxOutput}, &bounded{most: 64 << 10}
	c := exec.CommandContext(ctx, path, args...)
	c.Env = append(os.Environ(), cluster.RoleVariable+"=describe")
	c.Stdout, c.Stderr, c.WaitDelay = out, complaint, time.Second
	err = c.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%w: %s has printed nothing within %v", ErrNoTopology, path, describeTimeout)
	case err != nil:
		return nil, fmt.Errorf("client: run %s for its description: %w: %s", path, err, lastLine(complaint.Bytes()))
	}
	spec := &cluster.Spec{}
	if err := json.Unmarshal([]byte(lastLine(out.Bytes())), spec); err != nil {
		return nil, fmt.Errorf("%w: the last line that %s prints is no description", ErrNoTopology, path)
	}
	if err := spec.Check(); err != nil {
		return nil, fmt.Errorf("client: %s: %w", path, err)
	}
	return spec, nil
}

// lastLine returns the last line of a text that is not empty.
func lastLine(text []byte) string {
	all := strings.TrimSpace(string(text))
	return all[strings.LastIndexByte(all, '\n')+1:]
}

// bounded is a buffer that keeps the end of the written bytes.
type bounded struct {
	bytes.Buffer
	most int
}

func (b *bounded) Write(p []byte) (int, error) {
	if over := b.Len() + len(p) - b.most; over > 0 {
		b.Next(over)
	}
	return b.Buffer.Write(p)
}
