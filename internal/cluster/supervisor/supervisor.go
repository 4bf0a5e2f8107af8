package supervisor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// A Supervisor runs the workers of one host. Make it with New.
type Supervisor struct {
	cfg      Config
	subjects natscluster.Subjects
	dir      dir
	owner    *owner
	limits   *limiter
	boot     string
	started  time.Time
	pulse    pulse
	detects  atomic.Int64 // the detection time in ns

	// Fields of one Run.
	user      *natscluster.User
	nc        *nats.Conn
	servers   string
	authority []byte // PEM
	cache     *artefact.Cache
	events    *natscluster.EventQueue
	joined    chan struct{} // closed when a nimbus has let it join
	rejoin    chan struct{} // it is connected again

	mu       sync.Mutex
	managers map[cluster.WorkerSlot]*workerManager // changed by the reconciler only
	work     sync.WaitGroup                        // the worker managers
	done     chan *workerManager                   // those that have ended
}

// New returns a supervisor, or an error that names the setting that cannot be.
func New(cfg Config) (*Supervisor, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if err := checkSystem(); err != nil {
		return nil, err
	}
	who, err := ownerOf(cfg.RunAs)
	if err != nil {
		return nil, err
	}
	s := &Supervisor{
		cfg: cfg, subjects: cfg.Connection.Subjects(), dir: dir(cfg.Dir), owner: who, boot: bootID(),
		managers: map[cluster.WorkerSlot]*workerManager{},
	}
	detection := cfg.Detection
	if detection == 0 {
		detection = cluster.Detection
	}
	s.detects.Store(int64(detection))
	return s, nil
}

// open reports whether the cluster has no users.
func (s *Supervisor) open() bool { return s.user.Key() == "" }

func (s *Supervisor) detection() time.Duration { return time.Duration(s.detects.Load()) }

// Run supervises until ctx ends. Workers live on, unless Config has them stopped. A Supervisor runs once.
func (s *Supervisor) Run(ctx context.Context) error {
	if err := s.dir.make(); err != nil {
		return err
	}
	lock, err := lockFile(filepath.Join(s.cfg.Dir, "lock"))
	if err != nil {
		return fmt.Errorf("supervisor: %w", err)
	}
	defer func() { _ = lock.Close() }()
	groups, err := openCgroups(s.cfg.Cgroup)
	if err != nil && s.cfg.Cgroup != "" && s.cfg.Cgroup != "none" {
		return err
	}
	if s.limits = (&limiter{groups, s.owner}); !s.limits.byCgroup() {
		s.cfg.Log.Info("limits are set by rlimit", zap.Bool("cgroups", groups != nil), zap.NamedError("because", err))
	}
	if err := s.connect(); err != nil {
		return err
	}
	defer s.nc.Close()
	if s.cache, err = artefact.NewCache(s.dir.artefacts(), s.nc, s.subjects); err != nil {
		return err
	}
	s.started = time.Now().Round(0)
	s.done = make(chan *workerManager)
	return s.supervise(ctx)
}

// connect connects to NATS. A server need not be there: running workers are looked after.
func (s *Supervisor) connect() (err error) {
	c := &s.cfg.Connection
	if s.user, err = c.User(); err != nil {
		return err
	}
	if s.servers = c.Servers; s.servers == "" {
		s.servers = nats.DefaultURL
	}
	if s.authority = c.CAPEM; c.CA != "" {
		if s.authority, err = os.ReadFile(c.CA); err != nil {
			return fmt.Errorf("supervisor: the authority's certificate: %w", err)
		}
	}
	s.joined, s.rejoin = make(chan struct{}), make(chan struct{}, 1)
	again := func(*nats.Conn) {
		select {
		case s.rejoin <- struct{}{}:
		default:
		}
	}
	s.nc, err = c.Connect("supervisor "+s.cfg.Name, s.user, nats.RetryOnFailedConnect(true),
		nats.ConnectHandler(again), nats.ReconnectHandler(again),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			s.cfg.Log.Warn("NATS is away", zap.Error(err))
			s.renew()
		}),
		nats.ReconnectErrHandler(func(*nats.Conn, error) { s.renew() }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.cfg.Log.Warn("NATS", zap.Error(err))
		}))
	return err
}

// renew reads the credentials again, since expired ones may be the reason why there is no connection.
func (s *Supervisor) renew() {
	if u, err := s.cfg.Connection.User(); err == nil && u.Key() == s.user.Key() && u.JWT() != s.user.JWT() {
		s.user.SetJWT(u.JWT())
		s.cfg.Log.Info("new credentials")
	}
}

// supervise begins everything, and waits until all has ended.
func (s *Supervisor) supervise(ctx context.Context) error {
	s.events = natscluster.NewEventQueue(s.nc, s.subjects)
	helpers, stop := context.WithCancel(context.WithoutCancel(ctx)) // they end after the worker managers
	var help sync.WaitGroup
	defer help.Wait()
	defer stop()
	help.Go(func() { s.events.Run(helpers) })
	help.Go(func() { s.sendHeartbeats(helpers) })
	help.Go(func() { s.join(helpers) })

	life, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer s.work.Wait()
	defer leave()
	if err := s.adopt(life); err != nil {
		return err
	}
	if _, err := s.nc.Subscribe(s.subjects.WorkerHeartbeats(s.cfg.Name), s.onHeartbeat); err != nil {
		return fmt.Errorf("supervisor: %w", err)
	}
	logs, err := s.serveLogs(helpers)
	if err != nil {
		return err
	}
	defer logs()
	return s.reconcile(ctx, life)
}

// adopt takes over the workers of an earlier run.
func (s *Supervisor) adopt(life context.Context) error {
	var failed []error
	for _, slot := range s.dir.slots(s.cfg.Name) {
		m := s.newManager(slot)
		if err := m.adopt(time.Now()); err != nil {
			failed = append(failed, err)
			continue
		}
		s.launch(life, m)
	}
	return errors.Join(failed...)
}

// launch starts a worker manager.
func (s *Supervisor) launch(life context.Context, m *workerManager) {
	s.mu.Lock()
	s.managers[m.slot] = m
	s.mu.Unlock()
	m.publishStatus()
	s.work.Go(func() {
		m.manage(life)
		select {
		case s.done <- m:
		case <-life.Done():
		}
	})
}

// manager returns that of a slot, or nil.
func (s *Supervisor) manager(slot cluster.WorkerSlot) *workerManager {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.managers[slot]
}

// all returns the worker managers.
func (s *Supervisor) all() (all []*workerManager) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range s.managers {
		all = append(all, m)
	}
	return all
}

// oneLine makes an error fit for a line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
