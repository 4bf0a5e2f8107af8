package supervisor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// TestMain lets the test binary be a worker's program, or a supervisor that can be killed.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(cluster.RoleVariable) == "worker":
		os.Exit(beWorker(os.Args[1:]))
	case os.Getenv("SUPERVISOR_TEST_CONFIG") != "":
		beSupervisor(os.Getenv("SUPERVISOR_TEST_CONFIG"))
	default:
		_ = os.Setenv("SUPERVISORS_SECRET", "canary") // no worker may inherit it
		goleak.VerifyTestMain(m)
	}
}

// beSupervisor runs until it is killed.
func beSupervisor(config string) {
	var cfg Config
	err := json.Unmarshal([]byte(config), &cfg)
	if err == nil {
		cfg.Log = zap.NewNop()
		var s *Supervisor
		if s, err = New(cfg); err == nil {
			err = s.Run(context.Background())
		}
	}
	fmt.Println(err)
	os.Exit(1)
}

// A testimony is written by a worker into its directory when it starts.
type testimony struct {
	Launch cluster.Launch
	Env    []string
	Args   []string
	PID    int
	UID    int
	FDs    []string
	Orders []cluster.Assignment
}

// beWorker is the program of the topologies under test. Its first argument selects what it does.
func beWorker(args []string) int {
	f := os.NewFile(cluster.LaunchFD, "launch")
	text, err := io.ReadAll(f)
	t := testimony{Env: os.Environ(), Args: args, PID: os.Getpid(), UID: os.Getuid()}
	if err == nil {
		err = json.Unmarshal(text, &t.Launch)
	}
	if err != nil {
		fmt.Println("no launch:", err)
		return cluster.ExitError
	}
	_ = f.Close()
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if at, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			t.FDs = append(t.FDs, e.Name()+" "+at)
		}
	}
	t.testify()
	switch args[0] {
	case "exit":
		fmt.Println("the last words")
		code, _ := strconv.Atoi(args[1])
		return code
	case "panic":
		panic("the worker's own fault")
	case "stubborn", "messy": // with three children, of its process group, of one and of a session of their own
		if args[0] == "stubborn" {
			signal.Ignore(syscall.SIGTERM)
		}
		for _, attr := range []*syscall.SysProcAttr{{}, {Setpgid: true}, {Setsid: true}} {
			child := exec.Command("/proc/self/exe", "child")
			child.Env, child.SysProcAttr = os.Environ(), attr
			in, out, _ := os.Pipe()
			_, _ = out.WriteString("{}")
			_ = out.Close()
			child.ExtraFiles = []*os.File{in}
			if err := child.Start(); err != nil {
				fmt.Println(err)
				return 1
			}
		}
	case "child":
		signal.Ignore(syscall.SIGTERM)
		time.Sleep(time.Hour)
	case "hog":
		var all [][]byte
		for {
			b := make([]byte, 1<<20)
			for i := range b {
				b[i] = byte(i)
			}
			if all = append(all, b); len(all) == 4<<10 {
				runtime.KeepAlive(all)
				return 3
			}
		}
	}
	return t.live()
}

// testify writes the worker's testimony, in one go.
func (t *testimony) testify() {
	text, err := json.Marshal(t)
	if err == nil {
		err = os.WriteFile("testimony.new", text, 0o600)
	}
	if err == nil {
		err = os.Rename("testimony.new", "testimony")
	}
	if err != nil {
		fmt.Println(err)
	}
}

// live sends heartbeats and follows orders until it is ordered to end.
func (t *testimony) live() int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	nc, err := nats.Connect(t.Launch.Servers, nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	p := natscluster.Subjects(t.Launch.Prefix)
	orders := make(chan *nats.Msg, 16)
	if _, err := nc.ChanSubscribe(p.Worker(t.Launch.Slot, cluster.VerbAssign), orders); err != nil {
		fmt.Println(err)
		return 1
	}
	order, started := t.Launch.Assignment, time.Now()
	tick := time.NewTicker(50 * time.Millisecond)
	for n := 0; ; n++ {
		text, _ := json.Marshal(cluster.Heartbeat{Slot: t.Launch.Slot, PID: t.PID, Started: started, Revision: order.Revision})
		if t.Args[0] != "silent" {
			_ = nc.Publish(p.WorkerHeartbeat(t.Launch.Slot), text)
		}
		if n%2 == 0 {
			fmt.Printf(`{"level":"info","msg":"line %d","task":"%s"}`+"\n", n, order.Tasks[n/2%len(order.Tasks)])
		}
		select {
		case m := <-orders:
			if err := json.Unmarshal(m.Data, &order); err == nil {
				t.Orders = append(t.Orders, order)
				t.testify()
			}
		case <-tick.C:
		case <-stop:
			return cluster.ExitDone
		}
	}
}
