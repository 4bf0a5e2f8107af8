package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// host is the supervisor's name.
const host = "host-1"

// A site is a NATS server, a simulated nimbus, and a directory for a supervisor.
type site struct {
	*testing.T
	store, dir string
	server     *embed.Server
	nc         *nats.Conn
	p          natscluster.Subjects
	leader     *natscluster.Leadership
	program    cluster.Artefact

	mu         sync.Mutex
	heartbeats []cluster.HostHeartbeat
	events     []cluster.Event
	asked      map[string]int // by verb
	answer     func(verb string, data []byte) any
}

// newSite starts one. Its tests mostly wait, so they do so side by side.
func newSite(t *testing.T) *site {
	t.Parallel()
	s := &site{T: t, store: t.TempDir(), p: natscluster.DefaultPrefix, asked: map[string]int{}}
	var err error
	if s.dir, err = os.MkdirTemp("", "supervisor-"); err != nil { // t.TempDir's are closed to other users
		t.Fatal(err)
	}
	if err := os.Chmod(s.dir, 0o711); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(s.dir) })
	s.serve("127.0.0.1:0")
	t.Cleanup(func() { _ = s.server.Stop() })
	if s.nc, err = s.connection().Connect("test", &natscluster.User{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.nc.Close)
	if err := natscluster.Setup(t.Context(), s.nc, s.p, 1); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if s.program, err = artefact.Put(t.Context(), s.nc, s.p, self, nil); err != nil {
		t.Fatal(err)
	}
	if s.leader, err = natscluster.Campaign(t.Context(), s.nc, s.p, "nimbus", 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.leader.Close() })
	s.listen()
	return s
}

func (s *site) serve(listen string) {
	s.Helper()
	var err error
	if s.server, err = embed.Start(embed.Options{Dir: s.store, Listen: listen}); err != nil {
		s.Fatal(err)
	}
}

func (s *site) connection() *natscluster.Connection {
	return &natscluster.Connection{Servers: s.server.URL()}
}

// listen records the supervisor's messages, and answers as a nimbus would.
func (s *site) listen() {
	s.answers(func(verb string, _ []byte) any {
		if verb == cluster.VerbJoin {
			return cluster.JoinReply{Detection: time.Second}
		}
		return cluster.LoginReply{}
	})
	for subject, f := range map[string]nats.MsgHandler{
		s.p.HostHeartbeat("*"): func(m *nats.Msg) {
			var b cluster.HostHeartbeat
			if err := json.Unmarshal(m.Data, &b); err != nil {
				s.Error(err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.heartbeats = append(s.heartbeats, b)
		},
		s.p.Event("*"): func(m *nats.Msg) {
			var e cluster.Event
			if err := json.Unmarshal(m.Data, &e); err != nil {
				s.Error(err)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.events = append(s.events, e)
		},
		s.p.HostAPI("*", "*"): func(m *nats.Msg) {
			verb := m.Subject[strings.LastIndexByte(m.Subject, '.')+1:]
			s.mu.Lock()
			defer s.mu.Unlock()
			s.asked[verb]++
			if reply := s.answer(verb, m.Data); reply != nil {
				text, _ := json.Marshal(reply)
				_ = m.Respond(text)
			}
		},
	} {
		if _, err := s.nc.Subscribe(subject, f); err != nil {
			s.Fatal(err)
		}
	}
}

// answers changes the answer to requests; nil is no answer.
func (s *site) answers(f func(verb string, data []byte) any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

func (s *site) config() Config {
	return Config{Connection: *s.connection(), Name: host, Dir: s.dir, Slots: 4, StopWait: 500 * time.Millisecond}
}

// supervise runs a supervisor until the returned function is called, which waits. The test's end stops leftover
// workers.
func (s *site) supervise(change func(*Config)) (stop func()) {
	s.Helper()
	cfg := s.config()
	cfg.Log = zap.NewNop()
	if testing.Verbose() {
		cfg.Log = zaptest.NewLogger(s)
	}
	cfg.StopWorkers = true
	if change != nil {
		change(&cfg)
	}
	v, err := New(cfg)
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			select {
			case err := <-ended:
				if err != nil {
					s.Errorf("Run: %v", err)
				}
			case <-time.After(30 * time.Second):
				s.Error("Run does not end")
			}
		})
	}
	s.Cleanup(stop)
	return stop
}

// record makes one of two tasks in a worker of this host.
func (s *site) record(name string, args ...string) *cluster.Record {
	return &cluster.Record{
		Instance: cluster.NewInstance(name),
		Spec: cluster.Spec{Name: name, Operators: []cluster.Operator{
			{Name: "lines", Spout: true, Parallel: 1}, {Name: "count", Parallel: 2},
		}},
		Artefact: s.program, Args: args, Durability: "process", Workers: 1, Status: cluster.Active,
		Placement: []cluster.Placement{{Supervisor: host, Slot: 1, Tasks: []msgid.Alias{{Operator: "lines"}, {Operator: "count"}}}},
	}
}

func (s *site) put(r *cluster.Record) (revision uint64) {
	s.Helper()
	revision, err := s.leader.PutRecord(s.Context(), r)
	if err != nil {
		s.Fatal(err)
	}
	return revision
}

func slotOf(r *cluster.Record) cluster.WorkerSlot { return r.WorkerSlot(&r.Placement[0]) }

// within waits until something is so.
func (s *site) within(limit time.Duration, what string, so func() bool) {
	s.Helper()
	for end := time.Now().Add(limit); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("not within %v: %s\nlast beat: %+v\nevents: %+v", limit, what, s.last(), s.published())
		}
	}
}

// last returns the supervisor's last heartbeat.
func (s *site) last() cluster.HostHeartbeat {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.heartbeats) == 0 {
		return cluster.HostHeartbeat{}
	}
	return s.heartbeats[len(s.heartbeats)-1]
}

func (s *site) published() []cluster.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]cluster.Event(nil), s.events...)
}

// happened waits for an event, and returns it.
func (s *site) happened(kind cluster.EventKind, text string) (found cluster.Event) {
	s.Helper()
	s.within(20*time.Second, "event "+string(kind)+" "+text, func() bool {
		for _, e := range s.published() {
			if e.Kind == kind && strings.Contains(e.Text, text) {
				found = e
				return true
			}
		}
		return false
	})
	return found
}

// shows waits until the supervisor reports that a worker is in a state, and as the function requires.
func (s *site) shows(slot cluster.WorkerSlot, state cluster.ProcessState, and func(cluster.Process) bool) (found cluster.Process) {
	s.Helper()
	s.within(20*time.Second, "worker "+slot.String()+" is "+string(state), func() bool {
		for _, p := range s.last().Workers {
			if p.Slot == slot && p.State == state && (and == nil || and(p)) {
				found = p
				return true
			}
		}
		return false
	})
	return found
}

// work is where a worker of a slot works.
func (s *site) work(slot cluster.WorkerSlot) string {
	return filepath.Join(dir(s.dir).of("workers", slot), "work")
}

// testimony waits for that of a worker that meets a condition.
func (s *site) testimony(slot cluster.WorkerSlot, and func(*testimony) bool) *testimony {
	s.Helper()
	var t testimony
	s.within(20*time.Second, "testimony of "+slot.String(), func() bool {
		t = testimony{}
		text, err := os.ReadFile(filepath.Join(s.work(slot), "testimony"))
		return err == nil && json.Unmarshal(text, &t) == nil && (and == nil || and(&t))
	})
	return &t
}

// dies waits until a process is no more.
func (s *site) dies(pid int) {
	s.Helper()
	s.within(10*time.Second, "a process dies", func() bool {
		stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
		return errors.Is(err, os.ErrNotExist) || strings.Contains(string(stat), ") Z ")
	})
}
