// Package pgtest starts a real PostgreSQL for a test: a cluster of its own, in a temporary directory, on a Unix
// socket, which may be killed and started again.
//
//	pg := pgtest.Start(t)
//	db, err := sql.Open("pgx", pg.DSN())
//	…
//	pg.Kill()  // as kill -9 does
//	pg.Again()
//
// It needs initdb and postgres, from the PATH or from where Debian's package postgresql puts them. Without them
// the test is skipped, but fails if the environment variable CI is set. Since PostgreSQL refuses to run as root, root runs
// it as the user postgres or nobody.
package pgtest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// A Server is a PostgreSQL that a test has started.
type Server struct {
	t      testing.TB
	bin    string
	dir    string
	as     *syscall.Credential // nil: our own user
	said   bytes.Buffer
	cmd    *exec.Cmd
	exited chan struct{}
}

// Start makes a cluster and runs it until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, bin: find()}
	if s.bin == "" {
		const missing = "there is no PostgreSQL (initdb, postgres) on this machine: install Debian's package postgresql"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	// Not t.TempDir: its path is too long for a socket, and below directories that are root's only.
	dir, err := os.MkdirTemp("", "askback-pg-")
	s.must(err)
	t.Cleanup(func() { s.must(os.RemoveAll(dir)) })
	s.dir = dir
	if os.Getuid() == 0 {
		s.as = other(t)
		s.must(os.Chown(dir, int(s.as.Uid), int(s.as.Gid)))
	}
	init := s.command("initdb", "-D", filepath.Join(dir, "data"), "-U", "askback", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("pgtest: initdb: %v\n%s", err, out)
	}
	s.Again()
	t.Cleanup(s.Kill)
	return s
}

// DSN returns its connection string.
func (s *Server) DSN() string {
	return fmt.Sprintf("host=%s port=%d user=askback dbname=postgres sslmode=disable", s.dir, port)
}

// port is part of the socket's name only.
const port = 5432

// Kill kills the server, as kill -9 does. Its sessions notice and end by themselves. Killing a dead one is allowed.
func (s *Server) Kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill() // it fails only if the process has ended
		<-s.exited
		s.cmd = nil
	}
}

// Again starts the server after Kill, and returns when clients can connect.
func (s *Server) Again() {
	s.t.Helper()
	// Sessions of the killed server keep a new one from starting for a moment.
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		s.run()
		for {
			if conn, err := net.Dial("unix", s.socket()); err == nil {
				_ = conn.Close()
				return
			}
			if s.ended(10 * time.Millisecond) {
				break
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("pgtest: postgres does not start:\n%s", s.said.Bytes())
		}
	}
}

func (s *Server) run() {
	s.said.Reset()
	_ = os.Remove(s.socket())
	// A killed process loses nothing of what the kernel has; only power cuts ask for fsync.
	s.cmd = s.command("postgres", "-D", filepath.Join(s.dir, "data"), "-k", s.dir, "-p", strconv.Itoa(port),
		"-c", "listen_addresses=", "-c", "fsync=off", "-c", "max_connections=50", "-c", "shared_buffers=16MB")
	s.cmd.Stderr = &s.said
	s.must(s.cmd.Start())
	exited := make(chan struct{})
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait() // it was killed, or has printed the reason on stderr
		close(exited)
	}(s.cmd)
	s.exited = exited
}

// ended waits for the process to end, for a while.
func (s *Server) ended(wait time.Duration) bool {
	select {
	case <-s.exited:
		return true
	case <-time.After(wait):
		return false
	}
}

func (s *Server) socket() string { return filepath.Join(s.dir, fmt.Sprintf(".s.PGSQL.%d", port)) }

func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.WaitDelay = s.dir, time.Second // its sessions may hold stderr for a moment longer
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	return cmd
}

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("pgtest: %v", err)
	}
}

// find returns the directory with initdb and postgres, "" if there is none.
func find() string {
	if path, err := exec.LookPath("initdb"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb") // the pattern is right
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// other returns the user as which root runs PostgreSQL.
func other(t testing.TB) *syscall.Credential {
	t.Helper()
	for _, name := range []string{"postgres", "nobody"} {
		if u, err := user.Lookup(name); err == nil {
			uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
			gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
			if err1 == nil && err2 == nil {
				return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
			}
		}
	}
	t.Fatal("pgtest: root cannot run PostgreSQL, and there is neither a user postgres nor nobody")
	return nil
}
