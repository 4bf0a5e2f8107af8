package natschan_test

import (
	"errors"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/channel/natschan/embed"
)

// A topology has one run at a time on a server. The others learn which process has it, and the next one gets it when that
// has ended.
func TestClaim(t *testing.T) {
	s := startServer(t, embed.Options{})
	cfg := natschan.Config{InProcess: s.InProcess(), Topology: "wc"}
	first, err := natschan.NewClaim(cfg)
	if err != nil {
		t.Fatal(err)
	}
	var claimed *natschan.ClaimedError
	if c, err := natschan.NewClaim(cfg); !errors.As(err, &claimed) || claimed.By.PID != os.Getpid() || !strings.Contains(err.Error(), `"wc" exists`) {
		t.Errorf("claimed twice: %v, %v", c, err)
	}
	other, err := natschan.NewClaim(natschan.Config{InProcess: s.InProcess(), Topology: "other"})
	if err != nil {
		t.Fatal(err)
	}
	other.Close()
	first.Close()
	next, err := natschan.NewClaim(cfg)
	if err != nil {
		t.Fatal(err)
	}
	next.Close()
	if _, err := natschan.NewClaim(natschan.Config{InProcess: s.InProcess(), Topology: "a.>"}); err == nil {
		t.Error("a bad name is claimed")
	}
	if _, err := natschan.NewClaim(natschan.Config{URL: "nats://127.0.0.1:1", Topology: "wc"}); !errors.Is(err, natschan.ErrConnect) {
		t.Errorf("without a server: %v", err)
	}
}

// If several claim a topology at the same moment, exactly one gets it.
func TestClaimAtOnce(t *testing.T) {
	s := startServer(t, embed.Options{})
	for round := range 30 {
		var all sync.WaitGroup
		claims := make([]*natschan.Claim, 4)
		for i := range claims {
			all.Go(func() {
				var err error
				claims[i], err = natschan.NewClaim(natschan.Config{InProcess: s.InProcess(), Topology: "wc"})
				var claimed *natschan.ClaimedError
				if err != nil && !errors.As(err, &claimed) {
					t.Error(err)
				}
			})
		}
		all.Wait()
		held := 0
		for _, c := range claims {
			if c != nil {
				held++
				c.Close()
			}
		}
		if held != 1 {
			t.Fatalf("round %d: %d of %d claims are held", round, held, len(claims))
		}
	}
}

// A run that is connected and does not answer, such as one that is stopped, keeps its claim.
func TestClaimUnanswered(t *testing.T) {
	s := startServer(t, embed.Options{})
	nc, err := nats.Connect("", nats.InProcessServer(s.InProcess()))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Subscribe("askback.wc.claim", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	var claimed *natschan.ClaimedError
	if _, err := natschan.NewClaim(natschan.Config{InProcess: s.InProcess(), Topology: "wc"}); !errors.As(err, &claimed) || !strings.Contains(err.Error(), "does not answer") {
		t.Error(err)
	}
}
