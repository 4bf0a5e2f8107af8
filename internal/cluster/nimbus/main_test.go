package nimbus_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/nimbus"
)

// childOf is the variable that makes the test's program a nimbus on a server, until its standard input ends.
const childOf = "ASKBACK_TEST_NIMBUS"

func TestMain(m *testing.M) {
	if url := os.Getenv(childOf); url != "" {
		os.Exit(child(url))
	}
	goleak.VerifyTestMain(m)
}

func child(url string) int {
	n, err := nimbus.New(nimbus.Config{
		Connection: natscluster.Connection{Servers: url}, Name: "child", Lease: time.Second, StopWait: 100 * time.Millisecond,
	})
	if err == nil {
		ctx, cancel := context.WithCancel(context.Background())
		go func() {
			_, _ = io.Copy(io.Discard, os.Stdin)
			cancel()
		}()
		err = n.Run(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// child starts a nimbus called child as a process, which ends with the test.
func (s *site) child() *os.Process {
	s.Helper()
	self, err := os.Executable()
	if err != nil {
		s.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childOf+"="+s.server.URL())
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() {
		_ = in.Close()
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		_ = cmd.Wait()
	})
	return cmd.Process
}
