package artefact_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// An authority issues users.
type authority struct {
	t    *testing.T
	pair nkeys.KeyPair
	key  string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	pair, err := nkeys.CreateAccount()
	if err != nil {
		t.Fatal(err)
	}
	key, _ := pair.PublicKey()
	return authority{t, pair, key}
}

func (a authority) user(expires time.Time, tags ...string) *natscluster.User {
	a.t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		a.t.Fatal(err)
	}
	key, _ := pair.PublicKey()
	seed, _ := pair.Seed()
	claims := jwt.NewUserClaims(key)
	claims.Tags.Add(tags...)
	if !expires.IsZero() {
		claims.Expires = expires.Unix()
	}
	token, err := claims.Encode(a.pair)
	if err != nil {
		a.t.Fatal(err)
	}
	u, err := natscluster.NewUser(cluster.Login{JWT: token, Seed: string(seed)})
	if err != nil {
		a.t.Fatal(err)
	}
	return u
}

var some = cluster.Artefact{SHA256: strings.Repeat("0123456789abcdef", 4), Size: 1000}

func sign(t *testing.T, u *natscluster.User, name string) cluster.Artefact {
	t.Helper()
	a := some
	if err := artefact.Sign(u, name, &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// Users of role operate may submit, all others may not.
func TestVerify(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	now := time.Now()
	trust := artefact.Trust{Accounts: []string{ours.key}, Now: now}
	later := trust
	later.Now = time.Time{} // as supervisors ask
	with := func(f func(*cluster.Artefact)) cluster.Artefact {
		a := sign(t, ours.user(time.Time{}, "role:operate"), "words")
		f(&a)
		return a
	}
	other := sign(t, ours.user(time.Time{}, "role:operate"), "words")
	for name, c := range map[string]struct {
		a     cluster.Artefact
		trust artefact.Trust
		want  error
	}{
		"operate":                  {sign(t, ours.user(now.Add(time.Hour), "role:operate"), "words"), trust, nil},
		"admin":                    {sign(t, ours.user(time.Time{}, "role:admin"), "words"), trust, nil},
		"view":                     {sign(t, ours.user(time.Time{}, "role:view"), "words"), trust, artefact.ErrUntrusted},
		"no role":                  {sign(t, ours.user(time.Time{}), "words"), trust, artefact.ErrUntrusted},
		"another account":          {sign(t, theirs.user(time.Time{}, "role:operate"), "words"), trust, artefact.ErrUntrusted},
		"expired":                  {sign(t, ours.user(now.Add(-time.Hour), "role:operate"), "words"), trust, artefact.ErrUntrusted},
		"expired since":            {sign(t, ours.user(now.Add(-time.Hour), "role:operate"), "words"), later, nil},
		"another topology":         {sign(t, ours.user(time.Time{}, "role:operate"), "others"), trust, artefact.ErrSignature},
		"another program":          {with(func(a *cluster.Artefact) { a.SHA256 = strings.Repeat("f", 64) }), trust, artefact.ErrSignature},
		"no signature":             {with(func(a *cluster.Artefact) { a.Signature = nil }), trust, artefact.ErrSignature},
		"unsigned":                 {some, trust, artefact.ErrUntrusted},
		"no proof":                 {with(func(a *cluster.Artefact) { a.Proof = "" }), trust, artefact.ErrUntrusted},
		"another's proof":          {with(func(a *cluster.Artefact) { a.Proof = other.Proof }), trust, artefact.ErrUntrusted},
		"altered proof":            {with(func(a *cluster.Artefact) { a.Proof = a.Proof[:len(a.Proof)-8] + "AAAAAAAA" }), trust, artefact.ErrUntrusted},
		"endless proof":            {with(func(a *cluster.Artefact) { a.Proof = strings.Repeat("a", 1<<20) }), trust, artefact.ErrUntrusted},
		"bad digest":               {with(func(a *cluster.Artefact) { a.SHA256 = "../x" }), trust, artefact.ErrDigest},
		"open":                     {some, artefact.Trust{}, nil},
		"open, signed":             {other, artefact.Trust{}, nil},
		"open, signed by another":  {with(func(a *cluster.Artefact) { a.Signer = other.Signer }), artefact.Trust{}, artefact.ErrSignature},
		"open, signed by nonsense": {with(func(a *cluster.Artefact) { a.Signer = "x" }), artefact.Trust{}, artefact.ErrSignature},
	} {
		err := artefact.Verify(c.a, "words", c.trust)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && (len(err.Error()) > 500 || !errors.Is(err, artefact.ErrDigest) && !strings.Contains(err.Error(), "submit it")) {
			t.Errorf("%s: the message does not help: %.600s", name, err)
		}
	}
	if err := artefact.Verify(other, "a.>", trust); !errors.Is(err, cluster.ErrName) {
		t.Error(err)
	}
}

// Without credentials, artefacts stay unsigned.
func TestSignOpen(t *testing.T) {
	if a := sign(t, &natscluster.User{}, "words"); a.Signer != "" || a.Signature != nil {
		t.Error(a)
	}
}
