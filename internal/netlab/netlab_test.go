package netlab_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/netlab"
)

// Two hosts reach each other until a link is pulled.
func TestLink(t *testing.T) {
	lab := netlab.New(t)
	a, b := lab.Host("a"), lab.Host("b")
	connected := func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		// The neighbour's hardware address is asked for and answered, or not: there need be no ping.
		_, _ = a.Run(ctx, "ip", "neigh", "flush", "all")
		_, _ = a.Run(ctx, "timeout", "1", "bash", "-c", "exec 3<>/dev/tcp/"+b.IP+"/9")
		out, err := a.Run(ctx, "ip", "neigh", "show", b.IP)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Contains(string(out), "lladdr")
	}
	if !connected() {
		t.Fatal("b does not answer")
	}
	b.Down()
	if connected() {
		t.Fatal("b answers although its link is pulled")
	}
	b.Up()
	if !connected() {
		t.Fatal("b does not answer again")
	}
	b.Mute()
	if connected() {
		t.Fatal("b answers although it is mute")
	}
	b.Unmute()
	if !connected() {
		t.Fatal("b does not answer after it was mute")
	}
}

// A process ends when it is killed, and what it printed is there.
func TestProcess(t *testing.T) {
	lab := netlab.New(t)
	h := lab.Host("a")
	p := h.Start("sleeper", "sh", "-c", "echo hello; sleep 1000")
	for deadline := time.Now().Add(10 * time.Second); !strings.Contains(p.Tail(100), "hello"); {
		if time.Now().After(deadline) {
			t.Fatal("it prints nothing")
		}
		time.Sleep(5 * time.Millisecond)
	}
	if n := len(h.PIDs()); n < 1 {
		t.Fatalf("%d processes", n)
	}
	p.Kill()
	select {
	case <-p.Ended():
	default:
		t.Fatal("it has not ended")
	}
}

// A failure of the network within a subtest ends that subtest, and no other.
func TestFor(t *testing.T) {
	l := netlab.New(t)
	h := l.Host("a")
	of := &recorder{TB: t}
	end := l.For(of)
	h.Unmute() // it is not mute, so tc fails
	end()
	if !of.failed {
		t.Error("the failure was not reported to the subtest")
	}
}

// A recorder is a subtest that only records that it has failed.
type recorder struct {
	testing.TB
	failed bool
}

func (r *recorder) Fatalf(string, ...any) { r.failed = true }
