package nimbus_test

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// An answer that is longer than NATS lets pass is packed; one that is still too long is refused with that reason.
func TestLongAnswer(t *testing.T) {
	s := newSite(t)
	s.nimbus("n-1", nil)
	noise := make([]byte, 30<<10)
	_, _ = rand.Read(noise)
	for _, c := range []struct{ of, text, want string }{
		{"plain-aaaaaaaa", strings.Repeat("x", 60<<10), ""},
		{"noise-aaaaaaaa", hex.EncodeToString(noise), "ask for less"},
	} {
		body, err := json.Marshal(cluster.Event{Kind: cluster.Assigned, Instance: cluster.Instance(c.of), Text: c.text})
		if err != nil {
			t.Fatal(err)
		}
		const n = 60
		for range n {
			if _, err := s.nc.Request(s.p.Event(c.of), body, 5*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		reply, err := ask[cluster.ExplainReply](s, cluster.View, cluster.VerbExplain, cluster.ExplainRequest{Name: c.of})
		switch {
		case c.want == "" && (err != nil || len(reply.Events) != n):
			t.Errorf("%s: %d events, %v", c.of, len(reply.Events), err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: %v, want %q", c.of, err, c.want)
		}
	}
}
