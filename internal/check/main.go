// Check runs everything that a change must pass, step by step, and stops at the first that fails:
//
//	go run ./internal/check           all of it
//	go run ./internal/check -quick    without the race detector, tests with -short
//	go run ./internal/check -skip test,race
//
// CI runs the same. Seeds of fuzz tests and goldens are part of go test; so are the import floors and the table of
// dependencies (floors_test.go).
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A step is one thing that is checked.
type step struct {
	name string
	args []string
	slow bool // left out by -quick
	// silent means that any output is a failure, and is the text of that failure.
	silent string
	// needs is called first, and may return why the step cannot run here.
	needs func(context.Context) string
}

func steps(quick bool) []step {
	test := []string{"go", "test", "./..."}
	if quick {
		test = []string{"go", "test", "-short", "./..."}
	}
	return []step{
		{name: "fmt", args: []string{"gofmt", "-l", "."}, silent: "these files are not formatted; run gofmt -w on them"},
		{name: "mod", args: []string{"go", "mod", "verify"}},
		{name: "build", args: []string{"go", "build", "./..."}},
		{name: "vet", args: []string{"go", "vet", "./..."}},
		{name: "staticcheck", args: []string{"go", "tool", "staticcheck", "./..."}},
		{name: "test", args: test},
		// Those packages that start goroutines. The machines and the simulator have one each.
		{name: "race", slow: true, needs: compiler, args: []string{"go", "test", "-race", "-short",
			".", "./internal/task/...", "./internal/executor/...", "./internal/channel/...", "./internal/checkpoint/...", "./bolt/...", "./spout/...", "./connect/...", "./internal/cluster/...", "./examples/..."}},
	}
}

func main() {
	quick := flag.Bool("quick", false, "leave out the race detector, and run tests with -short")
	skip := flag.String("skip", "", "names of steps to leave out, separated by commas")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := check(ctx, *quick, strings.Split(*skip, ",")); err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

// check runs the steps from the module's root.
func check(ctx context.Context, quick bool, skip []string) error {
	if err := toRoot(ctx); err != nil {
		return err
	}
	all := steps(quick)
	for _, name := range skip {
		if name != "" && !slices.ContainsFunc(all, func(s step) bool { return s.name == name }) {
			return fmt.Errorf("-skip %s: there is no such step", name)
		}
	}
	began := time.Now()
	for _, s := range all {
		if slices.Contains(skip, s.name) || quick && s.slow {
			fmt.Printf("--- %-12s left out\n", s.name)
			continue
		}
		if s.needs != nil {
			if why := s.needs(ctx); why != "" {
				fmt.Printf("--- %-12s NOT RUN: %s\n", s.name, why)
				continue
			}
		}
		fmt.Printf("--- %-12s %s\n", s.name, strings.Join(s.args, " "))
		start := time.Now()
		if err := s.run(ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Printf("    %-12s passed in %.1f s\n", s.name, time.Since(start).Seconds())
	}
	fmt.Printf("--- all passed in %.1f s\n", time.Since(began).Seconds())
	return nil
}

func (s step) run(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = io.MultiWriter(os.Stdout, &said), os.Stderr
	if s.silent == "" {
		cmd.Stdout = os.Stdout
	}
	if err := cmd.Run(); err != nil {
		return err
	}
	if said.Len() > 0 {
		return errors.New(s.silent)
	}
	return nil
}

// compiler returns why the race detector cannot be built, or "".
func compiler(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "go", "env", "CGO_ENABLED").Output()
	if err != nil || strings.TrimSpace(string(out)) != "1" {
		return "the race detector needs cgo, and so a C compiler; install gcc or clang"
	}
	return ""
}

// toRoot changes to the directory of go.mod, so that the check may be run from anywhere below it.
func toRoot(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return fmt.Errorf("find the module: %w", err)
	}
	mod := strings.TrimSpace(string(out))
	if mod == "" || mod == os.DevNull {
		return errors.New("not within the module; change to its directory first")
	}
	return os.Chdir(filepath.Dir(mod))
}
