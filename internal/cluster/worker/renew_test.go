package worker_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
)

// A worker asks for a new JWT when half the life of the old one is over, and takes one that comes with an order.
func TestRenew(t *testing.T) {
	s := newSite(t, 1000)
	account, err := nkeys.CreateAccount()
	check(t, err)
	user, err := nkeys.CreateUser()
	check(t, err)
	seed, err := user.Seed()
	check(t, err)
	key, err := user.PublicKey()
	check(t, err)
	until := func(expires time.Time) string {
		claims := jwt.NewUserClaims(key)
		claims.Expires = expires.Unix()
		token, err := claims.Encode(account)
		check(t, err)
		return token
	}
	l := s.launch(0, "lines", "split", "count", "out")
	l.Login = cluster.Login{JWT: until(time.Now().Add(4 * time.Second)), Seed: string(seed)}
	began, renewed := time.Now(), time.Now().Add(time.Hour).Truncate(time.Second)
	_, err = s.nc.Subscribe(s.subjects.WorkerAPI(l.Slot, cluster.VerbRenew), func(m *nats.Msg) {
		var ask cluster.LoginRequest
		if err := json.Unmarshal(m.Data, &ask); err != nil || ask.Key != key || ask.Slot != l.Slot {
			t.Errorf("asked with %s", m.Data)
		}
		answer, _ := json.Marshal(cluster.LoginReply{JWT: until(renewed), Expires: renewed})
		_ = m.Respond(answer)
	})
	check(t, err)
	s.start(l)
	s.until("it has a new one", func() bool { return s.heartbeat(0).JWT.Equal(renewed) })
	if after := time.Since(began); after < time.Second || after > 4*time.Second {
		t.Errorf("it was renewed after %v", after)
	}

	ordered := renewed.Add(time.Hour)
	o := s.order(2, "lines", "split", "count", "out")
	o.JWT = until(ordered)
	s.send(0, o)
	if b := s.heartbeat(0); !b.JWT.Equal(ordered) {
		t.Errorf("its JWT holds until %v, want %v", b.JWT, ordered)
	}
	s.done(0)
}
