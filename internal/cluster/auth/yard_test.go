package auth_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"go.uber.org/goleak"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/auth"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/natstest"
	"github.com/askback/askback/msgid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const p = natscluster.Subjects(natscluster.DefaultPrefix)

// timeout is how long anything may take here.
const timeout = 20 * time.Second

// A yard is a secured cluster: the files of Init, and its servers.
type yard struct {
	dir     string
	summary *auth.Summary
	servers []*server.Server
}

// newYard makes a cluster of n NATS servers on this machine.
func newYard(t *testing.T, n int, change ...func(*auth.Options)) *yard {
	t.Helper()
	y := &yard{dir: filepath.Join(t.TempDir(), "keys")}
	o := auth.Options{Supervisors: []string{"host-1", "host-2"}, StoreDir: t.TempDir()}
	for range n {
		o.Servers = append(o.Servers, auth.Server{Hosts: []string{"127.0.0.1"}, Port: natstest.FreePort(t), RoutePort: natstest.FreePort(t)})
	}
	for _, f := range change {
		f(&o)
	}
	var err error
	if y.summary, err = auth.Init(y.dir, o); err != nil {
		t.Fatal(err)
	}
	for _, f := range y.summary.Files {
		if strings.HasSuffix(f.Path, ".conf") {
			y.servers = append(y.servers, natstest.Configured(t, filepath.Join(y.dir, f.Path)))
		}
	}
	natstest.Ready(t, y.servers...)
	return y
}

// connection returns how to reach the yard.
func (y *yard) connection() natscluster.Connection {
	return natscluster.Connection{Servers: y.summary.Servers, CA: filepath.Join(y.dir, "ca.pem")}
}

// A client is the connection of one user, and the errors that came by it.
type client struct {
	*nats.Conn
	user   *natscluster.User
	errors chan error
}

// as connects with a file of credentials.
func (y *yard) as(t *testing.T, who string) *client {
	t.Helper()
	c := y.connection()
	c.Creds = filepath.Join(y.dir, who+".creds")
	u, err := c.User()
	if err != nil {
		t.Fatal(err)
	}
	return y.connect(t, u)
}

func (y *yard) connect(t *testing.T, u *natscluster.User, more ...nats.Option) *client {
	t.Helper()
	c, from := &client{user: u, errors: make(chan error, 1000)}, y.connection()
	closed := make(chan struct{})
	more = append(more,
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.errors <- err }),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	var err error
	for deadline := time.Now().Add(timeout); ; time.Sleep(50 * time.Millisecond) {
		if c.Conn, err = from.Connect(t.Name(), u, more...); err == nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { c.Close(); <-closed })
	return c
}

// issuer returns nimbus's.
func (y *yard) issuer(t *testing.T) *auth.Issuer {
	t.Helper()
	i, err := auth.ReadIssuer(filepath.Join(y.dir, "issuer.json"), p)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// worker returns a user that is issued for a slot.
func (y *yard) worker(t *testing.T, slot cluster.WorkerSlot, ttl time.Duration, tasks ...string) *natscluster.User {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key, _ := pair.PublicKey()
	seed, _ := pair.Seed()
	token, err := y.issuer(t).IssueWorker(key, slot, aliases(t, tasks...), "", ttl)
	if err != nil {
		t.Fatal(err)
	}
	u, err := natscluster.NewUser(cluster.Login{JWT: token, Seed: string(seed)})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func aliases(t *testing.T, names ...string) (all []msgid.Alias) {
	t.Helper()
	for _, name := range names {
		a, err := msgid.ParseAlias(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, a)
	}
	return all
}

// mayPublish reports whether the server takes a message on a subject, and fails the test if a denial is not reported.
func (c *client) mayPublish(t *testing.T, subject string) bool {
	t.Helper()
	return c.may(t, subject, func() error { return c.Publish(subject, []byte("x")) })
}

// maySubscribe reports whether the server takes a subscription.
func (c *client) maySubscribe(t *testing.T, subject string) bool {
	t.Helper()
	return c.may(t, subject, func() error {
		s, err := c.SubscribeSync(subject)
		if err == nil {
			t.Cleanup(func() { _ = s.Unsubscribe() })
		}
		return err
	})
}

func (c *client) may(t *testing.T, subject string, try func() error) bool {
	t.Helper()
	denied := func(err error) bool {
		if !errors.Is(err, nats.ErrPermissionViolation) {
			return false
		}
		mapped := strings.Replace(subject, "$JS.API.", string(p)+".jetstream.", 1) // in the workers' account
		return strings.Contains(err.Error(), `"`+subject+`"`) || strings.Contains(err.Error(), `"`+mapped+`"`)
	}
	if err := try(); err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	if err := c.FlushTimeout(timeout); err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	// A denial comes before the answer to the flush, but on its way to the handler it may be overtaken by it.
	var wait time.Duration
	if denied(c.LastError()) {
		wait = timeout
	}
	for {
		select {
		case err := <-c.errors:
			if denied(err) {
				return false
			}
		case <-time.After(wait):
			return true
		}
	}
}
