package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster/auth"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// Row 46: a JWT's time is over. The server ends the connection; the client, which was given a new JWT, is back by
// itself. One that was not given any is back when it is.
func TestExpiredJWT(t *testing.T) {
	y := newYard(t, 1)
	for name, late := range map[string]bool{"renewed in time": false, "renewed late": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := y.worker(t, first, 2*time.Second, "count.1")
			if left := time.Until(u.Expires()); left <= 0 || left > 2*time.Second {
				t.Fatalf("it holds for %v", left)
			}
			lost, back := make(chan struct{}, 10), make(chan struct{}, 10)
			c := y.connect(t, u,
				nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }),
				nats.ReconnectHandler(func(*nats.Conn) { back <- struct{}{} }))
			renew := func() {
				token, err := y.issuer(t).IssueWorker(u.Key(), first, aliases(t, "count.1", "count.2"), "", time.Hour)
				if err != nil {
					t.Error(err)
				}
				u.SetJWT(token)
			}
			if !late {
				renew()
			}
			wait(t, lost, "the connection was not ended")
			if late {
				time.Sleep(time.Second)
				if c.IsConnected() {
					t.Error("connected with an expired JWT")
				}
				for len(back) > 0 { // within the JWT's last second
					<-back
				}
				renew()
			}
			wait(t, back, "it did not come back")
			// Permissions follow the new JWT.
			if !c.mayPublish(t, "askback.words-abcdefgh.log.count.2") {
				t.Error("the new JWT does not count")
			}
		})
	}
}

// Row 46: certificates are renewed. The server takes the new ones when it reloads, connections stay, and both old and
// new clients know it.
func TestRenewedCertificate(t *testing.T) {
	y := newYard(t, 1)
	lost := make(chan struct{}, 10)
	old := y.connect(t, y.worker(t, first, time.Hour), nats.DisconnectErrHandler(func(*nats.Conn, error) { lost <- struct{}{} }))
	before := y.certificate(t)
	made, err := auth.Renew(y.dir, 48*time.Hour)
	if err != nil || len(made) != 2 {
		t.Fatal(made, err)
	}
	if err := y.servers[0].Reload(); err != nil {
		t.Fatal(err)
	}
	after := y.certificate(t)
	if after.SerialNumber.Cmp(before.SerialNumber) == 0 || time.Until(after.NotAfter) > 48*time.Hour {
		t.Errorf("the server shows a certificate that ends at %v", after.NotAfter)
	}
	select {
	case <-lost:
		t.Error("the connection was lost")
	default:
	}
	for _, c := range []*client{old, y.as(t, "view")} {
		if err := c.FlushTimeout(timeout); err != nil {
			t.Error(err)
		}
	}
	if err := old.ForceReconnect(); err != nil {
		t.Fatal(err)
	}
	wait(t, lost, "it did not reconnect")
	if err := old.FlushTimeout(timeout); err != nil {
		t.Error(err)
	}
	info, err := os.Stat(filepath.Join(y.dir, "server-1.key"))
	if err != nil || info.Mode() != 0o600 {
		t.Error(info, err)
	}
}

// certificate returns the one that a server shows.
func (y *yard) certificate(t *testing.T) (shown *x509.Certificate) {
	t.Helper()
	u := &natscluster.User{}
	c := y.connection()
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	// The server sends its certificate before it asks for the client's.
	_, err = nats.Connect(y.summary.Servers, nats.Name(u.String()), nats.Secure(&tls.Config{RootCAs: roots, VerifyConnection: func(s tls.ConnectionState) error {
		shown = s.PeerCertificates[0]
		return nil
	}}))
	if err == nil || shown == nil {
		t.Fatalf("connected without credentials, or saw no certificate: %v", err)
	}
	return shown
}

func wait(t *testing.T, c <-chan struct{}, otherwise string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(timeout):
		t.Fatal(otherwise)
	}
}

// A connection without TLS, with another authority or without credentials is refused.
func TestNobodyElse(t *testing.T) {
	y, stranger := newYard(t, 1), newYard(t, 1)
	for name, c := range map[string]natscluster.Connection{
		"no TLS":               {Servers: strings.Replace(y.summary.Servers, "tls:", "nats:", 1), Creds: filepath.Join(y.dir, "admin.creds")},
		"another authority":    {Servers: y.summary.Servers, CA: filepath.Join(stranger.dir, "ca.pem"), Creds: filepath.Join(y.dir, "admin.creds")},
		"no credentials":       {Servers: y.summary.Servers, CA: filepath.Join(y.dir, "ca.pem")},
		"another's user":       {Servers: y.summary.Servers, CA: filepath.Join(y.dir, "ca.pem"), Creds: filepath.Join(stranger.dir, "admin.creds")},
		"outside, unprotected": {Servers: "nats://192.0.2.1:4222"},
	} {
		u, err := c.User()
		if err != nil {
			t.Fatal(err)
		}
		if nc, err := c.Connect("x", u); err == nil {
			nc.Close()
			t.Errorf("%s: connected", name)
		}
	}
}
