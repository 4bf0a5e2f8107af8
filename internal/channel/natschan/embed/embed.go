package embed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/retry"
)

// Errors of Start.
var (
	// ErrLocked: another server, in this process or another, uses the store. Stop it, or choose another Dir.
	ErrLocked = errors.New("embed: store is in use by another server")
	// ErrListen: the address cannot be listened on, such as a port that is taken. Choose another, or port 0.
	ErrListen = errors.New("embed: cannot listen")
	// ErrStart: the server did not start; its output is in the message.
	ErrStart = errors.New("embed: NATS server did not start")
)

// Options of a server. The zero value is an in-process server with a store in a temporary directory.
type Options struct {
	// Dir holds the JetStream store. It is made if need be. "" is a temporary directory that Stop removes.
	Dir string
	// SyncAlways makes JetStream sync to the disk before it acknowledges: no acknowledged write is lost in a power cut, at
	// some 0.3-0.5 ms a publish.
	SyncAlways bool
	// SyncInterval is how often the store is synced otherwise; 0 is the server's default of 2 minutes.
	SyncInterval time.Duration
	// MaxPayload is the length of the longest message in bytes; 0 is the server's default of 1 MiB.
	MaxPayload int
	// Listen is the TCP address for clients, "127.0.0.1:4222". Port 0 takes a free one; see URL. "" does not
	// listen: only this process can connect, by InProcess.
	Listen string
	// StoreLimit bounds the store in bytes; 0 is the server's default, three quarters of the free disk. When it
	// is reached, publishes to streams fail.
	StoreLimit int64
}

// startTimeout is how long a server may take to be ready. Opening a large store takes a while.
const startTimeout = 30 * time.Second

// A Server is a running NATS server. Its methods may be called from several goroutines.
type Server struct {
	nats *server.Server
	dir  string
	lock *os.File
	temp bool
	stop sync.Once
	err  error // of stop
}

// Start starts a server and returns when clients can connect. It installs no signal handler and never exits the
// process: an error that ends a stand-alone server is returned.
func Start(opts Options) (*Server, error) {
	s := &Server{dir: opts.Dir, temp: opts.Dir == ""}
	if err := s.openDir(); err != nil {
		return nil, err
	}
	if err := s.run(opts); err != nil {
		_ = s.Stop()
		return nil, err
	}
	return s, nil
}

// InProcess connects clients without a socket. It fails once the server has stopped.
func (s *Server) InProcess() nats.InProcessConnProvider { return s.nats }

// URL returns the address for clients, "nats://127.0.0.1:4222", or "" if the server does not listen.
func (s *Server) URL() string {
	if addr, ok := s.nats.Addr().(*net.TCPAddr); ok {
		return "nats://" + addr.String()
	}
	return ""
}

// Dir returns where the store is.
func (s *Server) Dir() string { return s.dir }

// Stop ends the server and waits until it has written and closed its store. Clients lose their connection.
// Stopping twice is allowed.
func (s *Server) Stop() error {
	s.stop.Do(func() {
		if s.nats != nil {
			s.nats.Shutdown()
			s.nats.WaitForShutdown()
		}
		s.err = unlock(s.lock)
		if s.temp {
			s.err = errors.Join(s.err, os.RemoveAll(s.dir))
		}
		if s.err != nil {
			s.err = fmt.Errorf("embed: stop: %w", s.err)
		}
	})
	return s.err
}

// lockTimeout is how long Start waits for a store that is in use.
const lockTimeout = 2 * time.Second

// openDir makes the store's directory and locks it.
func (s *Server) openDir() (err error) {
	if s.temp {
		if s.dir, err = os.MkdirTemp("", "askback-nats-"); err != nil {
			return fmt.Errorf("embed: make temporary store: %w", err)
		}
	} else if err = os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("embed: make store: %w", err)
	}
	// Two servers on one store damage it silently, so the server takes a lock first. The system releases the lock when the
	// process dies, however it dies.
	//
	// A process that was killed a moment ago may not have ended yet.
	locked := func(err error) bool { return errors.Is(err, ErrLocked) }
	err = retry.Do(context.Background(), retry.Policy{Min: 20 * time.Millisecond, For: lockTimeout, Again: locked}, func() (err error) {
		s.lock, err = lock(filepath.Join(s.dir, "askback.lock"))
		return err
	})
	if err != nil {
		err = fmt.Errorf("embed: lock store %s: %w", s.dir, err)
		if s.temp {
			err = errors.Join(err, os.RemoveAll(s.dir))
		}
	}
	return err
}

func (s *Server) run(opts Options) error {
	o := &server.Options{
		ServerName:        "askback-" + strconv.Itoa(os.Getpid()),
		DontListen:        opts.Listen == "",
		NoSigs:            true,
		NoLog:             true,
		JetStream:         true,
		StoreDir:          s.dir,
		SyncAlways:        opts.SyncAlways,
		SyncInterval:      opts.SyncInterval,
		MaxPayload:        int32(opts.MaxPayload),
		JetStreamMaxStore: opts.StoreLimit,
	}
	if opts.MaxPayload < 0 || opts.MaxPayload > server.MAX_PENDING_SIZE {
		return fmt.Errorf("%w: MaxPayload of %d bytes: want 0 to %d", ErrStart, opts.MaxPayload, server.MAX_PENDING_SIZE)
	}
	if err := setListen(o, opts.Listen); err != nil {
		return err
	}
	n, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	said := &silence{}
	n.SetLoggerV2(said, false, false, false)
	s.nats = n
	n.Start()
	switch fatal := said.fatal(); {
	case fatal != "" && opts.Listen != "" && n.Addr() == nil && n.JetStreamEnabled():
		return fmt.Errorf("%w on %s: %s", ErrListen, opts.Listen, fatal)
	case fatal != "":
		return fmt.Errorf("%w: %s", ErrStart, fatal)
	case !n.ReadyForConnections(startTimeout):
		return fmt.Errorf("%w within %v: %s", ErrStart, startTimeout, said.last())
	}
	return nil
}

func setListen(o *server.Options, listen string) error {
	if listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(listen)
	if err == nil {
		o.Port, err = strconv.Atoi(port)
	}
	if err != nil || o.Port < 0 || o.Port > 65535 {
		return fmt.Errorf("%w on %q: want host:port, such as 127.0.0.1:0", ErrListen, listen)
	}
	o.Host = host
	if o.Port == 0 {
		o.Port = server.RANDOM_PORT
	}
	return nil
}

// silence is the server's logger: it neither prints nor exits, and keeps the errors.
type silence struct {
	mu          sync.Mutex
	died, error string
}

func (l *silence) Fatalf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.died == "" {
		l.died = fmt.Sprintf(format, args...)
	}
}

func (l *silence) Errorf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.error = fmt.Sprintf(format, args...)
}

func (l *silence) Noticef(string, ...any) {}
func (l *silence) Warnf(string, ...any)   {}
func (l *silence) Debugf(string, ...any)  {}
func (l *silence) Tracef(string, ...any)  {}

func (l *silence) fatal() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.died
}

// last returns the last error that the server logged.
func (l *silence) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.error
}
