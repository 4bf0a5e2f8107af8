package nimbus_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/nimbus"
	"github.com/askback/askback/msgid"
)

// A site is a NATS server with nimbuses, and simulated supervisors and workers that only send heartbeats.
type site struct {
	*testing.T
	dir     string
	server  *embed.Server
	address string
	urls    string // of the servers
	keys    string // directory of credentials, if it is secured
	nc      *nats.Conn
	p       natscluster.Subjects
	program cluster.Artefact
}

// newSite starts one. Its tests mostly wait, so they do so side by side.
func newSite(t *testing.T) *site {
	t.Parallel()
	s := &site{T: t, dir: t.TempDir(), p: natscluster.DefaultPrefix}
	s.start("127.0.0.1:0")
	s.urls = s.server.URL()
	s.address = strings.TrimPrefix(s.urls, "nats://")
	t.Cleanup(func() { _ = s.server.Stop() })
	var err error
	connection := s.connection()
	if s.nc, err = connection.Connect("test", &natscluster.User{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nc.Close)
	if err := natscluster.Setup(t.Context(), s.nc, s.p, 0); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, "program")
	if err := os.WriteFile(path, []byte("a program"), 0o700); err != nil {
		t.Fatal(err)
	}
	if s.program, err = artefact.Put(t.Context(), s.nc, s.p, path, nil); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *site) start(listen string) {
	s.Helper()
	var err error
	if s.server, err = embed.Start(embed.Options{Dir: filepath.Join(s.dir, "store"), Listen: listen}); err != nil {
		s.Fatal(err)
	}
}

func (s *site) connection() natscluster.Connection { return natscluster.Connection{Servers: s.urls} }

// nimbus runs one until the returned function is called, which waits.
func (s *site) nimbus(name string, change func(*nimbus.Config)) (stop func()) {
	s.Helper()
	cfg := nimbus.Config{Connection: s.connection(), Name: name, Lease: time.Second, StopWait: 100 * time.Millisecond, Log: zap.NewNop()}
	if testing.Verbose() {
		cfg.Log = zaptest.NewLogger(s)
	}
	if change != nil {
		change(&cfg)
	}
	n, err := nimbus.New(cfg)
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			s.Errorf("nimbus %s: %v", name, err)
		}
	})
	s.Cleanup(stop)
	return stop
}

// A host is a simulated supervisor with the workers that are placed with it; they only send heartbeats.
type host struct {
	name    string
	started time.Time
	cancel  context.CancelFunc
	done    chan struct{}

	mu      sync.Mutex
	records map[string]cluster.Change
	state   cluster.TaskState // of tasks
}

// host runs one until halt.
func (s *site) host(name string) *host { return s.hostAs(name, s.connection()) }

func (s *site) hostAs(name string, connection natscluster.Connection) *host {
	s.Helper()
	h := &host{name: name, started: time.Now(), done: make(chan struct{}), records: map[string]cluster.Change{}, state: "running"}
	user, err := connection.User()
	if err != nil {
		s.Fatal(err)
	}
	nc, err := connection.Connect("host "+name, user, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h.cancel = cancel
	var group sync.WaitGroup
	group.Go(func() {
		_ = natscluster.OpenReader(nc, s.p).Watch(ctx, func(c cluster.Change) {
			h.mu.Lock()
			defer h.mu.Unlock()
			if h.records[c.Name] = c; c.Record == nil {
				delete(h.records, c.Name)
			}
		}, func() {})
	})
	group.Go(func() {
		for ctx.Err() == nil {
			q := cluster.Host{Name: name, Slots: 2, Runtime: cluster.Runtime, Started: h.started}
			if _, err := natscluster.Request[cluster.JoinReply](ctx, nc, s.p.HostAPI(name, cluster.VerbJoin), q); err == nil {
				return
			}
		}
	})
	group.Go(func() {
		for ctx.Err() == nil {
			h.heartbeat(nc, s.p)
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	go func() {
		group.Wait()
		nc.Close()
		close(h.done)
	}()
	s.Cleanup(h.halt)
	return h
}

func (h *host) halt() {
	h.cancel()
	<-h.done
}

// become sets the state of all tasks.
func (h *host) become(state cluster.TaskState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = state
}

func (h *host) heartbeat(nc *nats.Conn, p natscluster.Subjects) {
	h.mu.Lock()
	defer h.mu.Unlock()
	say(nc, p.HostHeartbeat(h.name), cluster.HostHeartbeat{Name: h.name, Runtime: cluster.Runtime, Started: h.started})
	for _, c := range h.records {
		for i := range c.Record.Placement {
			placed := &c.Record.Placement[i]
			if placed.Supervisor != h.name {
				continue
			}
			b := cluster.Heartbeat{Slot: c.Record.WorkerSlot(placed), PID: 1, Revision: c.Revision, Runtime: cluster.Runtime}
			for _, alias := range placed.Tasks {
				b.Tasks = append(b.Tasks, cluster.Task{Alias: alias, State: h.state})
			}
			say(nc, p.WorkerHeartbeat(b.Slot), b)
		}
	}
}

func say(nc *nats.Conn, subject string, what any) {
	data, _ := json.Marshal(what)
	_ = nc.Publish(subject, data)
}

// timeout is how long anything may take: NATS servers elect a leader of a stream within nine seconds.
const timeout = 30 * time.Second

// ask asks nimbus as a user.
func ask[A any](s *site, role cluster.Role, verb string, q any) (A, error) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), timeout)
	defer cancel()
	return natscluster.Request[A](ctx, s.nc, s.p.API(role, verb), q)
}

func (s *site) request(name, nonce string) cluster.SubmitRequest {
	return cluster.SubmitRequest{
		Spec: cluster.Spec{
			Name:      name,
			Operators: []cluster.Operator{{Name: "lines", Spout: true, Parallel: 2}, {Name: "count", Parallel: 2, Log: true}},
			Edges:     []cluster.Edge{{From: "lines", To: "count", Grouping: "group by", Targets: 2}},
		},
		Artefact: s.program, Workers: 2, Nonce: nonce,
	}
}

func (s *site) submit(name string) cluster.Record {
	s.Helper()
	r, err := ask[cluster.Record](s, cluster.Operate, cluster.VerbSubmit, s.request(name, "n-"+name))
	if err != nil {
		s.Fatalf("submit %s: %v", name, err)
	}
	return r
}

func (s *site) describe(name string) (cluster.Description, error) {
	s.Helper()
	return ask[cluster.Description](s, cluster.View, cluster.VerbDescribe, cluster.NameRequest{Name: name})
}

// until waits until something is so.
func (s *site) until(what string, so func() bool) {
	s.Helper()
	for end := time.Now().Add(timeout); !so(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("waited in vain until %s", what)
		}
	}
}

// untilPlaced waits until a topology's workers are there, such as "a/0 b/0".
func (s *site) untilPlaced(name, where string) {
	s.Helper()
	got := ""
	defer func() {
		if s.Failed() {
			s.Logf("%s is in %q", name, got)
		}
	}()
	s.until(name+" is in "+where, func() bool {
		d, err := s.describe(name)
		got = places(&d.Record)
		return err == nil && got == where
	})
}

func places(r *cluster.Record) string {
	var all []string
	for _, p := range r.Placement {
		all = append(all, fmt.Sprintf("%s/%d", p.Supervisor, p.Slot))
	}
	return strings.Join(all, " ")
}

// untilHosts waits until that many supervisors are up.
func (s *site) untilHosts(n int) {
	s.Helper()
	s.until(fmt.Sprintf("%d supervisors are up", n), func() bool {
		l, err := ask[cluster.ListReply](s, cluster.View, cluster.VerbList, nil)
		up := 0
		for _, h := range l.Hosts {
			if h.State == "up" {
				up++
			}
		}
		return err == nil && up == n
	})
}

func code(err error) cluster.ErrCode {
	var refused *cluster.RequestError
	if errors.As(err, &refused) {
		return refused.Code
	}
	return ""
}

// worker answers requests to a worker.
func (s *site) worker(slot cluster.WorkerSlot, verb string, f func(q cluster.TaskRequest) error) {
	s.Helper()
	service, err := micro.AddService(s.nc, micro.Config{Name: "worker", Version: "1.0.0"})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { _ = service.Stop() })
	err = service.AddEndpoint(verb, micro.HandlerFunc(func(r micro.Request) {
		var q cluster.TaskRequest
		_ = json.Unmarshal(r.Data(), &q)
		if err := f(q); err != nil {
			_ = r.Error("409", err.Error(), nil)
			return
		}
		_ = r.RespondJSON(struct{}{})
	}), micro.WithEndpointSubject(s.p.Worker(slot, verb)))
	if err != nil {
		s.Fatal(err)
	}
}

var lines0 = msgid.Alias{Operator: "lines"}

func (s *site) jetStream() jetstream.JetStream {
	s.Helper()
	js, err := jetstream.New(s.nc)
	if err != nil {
		s.Fatal(err)
	}
	return js
}

// spoil puts another program under the digest of the real one.
func (s *site) spoil() {
	s.Helper()
	store, err := s.jetStream().ObjectStore(s.Context(), s.p.Artefacts())
	if err == nil {
		_, err = store.PutBytes(s.Context(), s.program.SHA256, []byte("b program"))
	}
	if err != nil {
		s.Fatal(err)
	}
}
