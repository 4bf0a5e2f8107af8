package clustertest

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	guide        = "docs/cluster.md"
	guideSection = "## Three nodes with TLS"
	guideDir     = "/tmp/askback" // where the page has everything
)

// TestGuide types the commands of docs/cluster.md into a shell, in a directory and with ports of the test's own. The
// page ends with a comparison of the counts, so a shell that ends well has counted right.
func TestGuide(t *testing.T) {
	unlessCI(t)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, guide))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "askback-guide-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reap(dir); err != nil {
			t.Error(err)
		}
		_ = os.RemoveAll(dir)
	})
	if err := os.Chmod(dir, 0o755); err != nil { // workers run as another user
		t.Fatal(err)
	}

	script := strings.ReplaceAll(shellBlocks(string(page), guideSection), guideDir, dir)
	var ports []string
	for i, port := range freePorts(t, 6) {
		ports = append(ports, []string{":4222", ":4223", ":4224", ":6222", ":6223", ":6224"}[i], ":"+port)
	}
	script = strings.NewReplacer(ports...).Replace(script) // all at once: a port may look like the beginning of another
	for _, promised := range []string{"auth init", "submit", "kill -9", "cmp - want"} {
		if !strings.Contains(script, promised) {
			t.Fatalf("%s, section %q, does not contain %q any more", guide, guideSection, promised)
		}
	}
	output := bash(t, root, script)
	for _, want := range []string{"recovered", "worker-adopted", "the counts are right"} {
		if !strings.Contains(output, want) {
			t.Errorf("the guide's commands have not printed %q:\n%s", want, output)
		}
	}
}

// bash runs a script that stops at the first command that fails, and returns what it has printed.
func bash(t *testing.T, dir, script string) string {
	t.Helper()
	out, err := os.Create(filepath.Join(t.TempDir(), "out")) // no pipe: background processes would keep it open
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = out.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-e", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with what it starts
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = cmd.Run()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // its background processes
	output, _ := os.ReadFile(out.Name())
	if err != nil {
		t.Fatalf("the guide's commands: %v\n%s", err, output)
	}
	return string(output)
}

// shellBlocks returns what is between "```sh" and "```" in a section of a page.
func shellBlocks(page, section string) string {
	_, rest, _ := strings.Cut(page, "\n"+section+"\n")
	rest, _, _ = strings.Cut(rest, "\n## ")
	var script strings.Builder
	inside := false
	for line := range strings.Lines(rest) {
		switch fence := strings.TrimSpace(line); {
		case fence == "```sh":
			inside = true
		case fence == "```":
			inside = false
		case inside:
			script.WriteString(line)
		}
	}
	return script.String()
}

// freePorts returns ports of which each is free, and no two are the same.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }() // all at the end
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

// reap ends all processes whose program is in a directory. Workers are in no process group of ours.
func reap(dir string) error {
	for range 100 {
		links, err := filepath.Glob("/proc/[0-9]*/exe")
		if err != nil {
			return err
		}
		left := 0
		for _, link := range links {
			program, err := os.Readlink(link)
			if err != nil || !strings.HasPrefix(program, dir+"/") {
				continue
			}
			if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(link))); err == nil {
				left++
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
		if left == 0 {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("processes of %s go on after SIGKILL", dir)
}
