package supervisor

import (
	"context"
	"errors"
	"time"

	"github.com/askback/askback/internal/cluster/artefact"
)

// prepared is the program and login that a worker needs to start, or the error.
type prepared struct {
	path  string // of the program; "": only the login was asked for
	sha   string // of the program
	login *login // nil in an open cluster
	err   error
}

// prepare gets what a worker needs to start: its program, whose signature and digest are checked, and its login.
func (s *Supervisor) prepare(ctx context.Context, m *workerManager, w *desired, old *login) (p prepared) {
	a := w.record.Artefact
	p.sha = a.SHA256
	if p.err = artefact.Verify(a, w.record.Instance.Name(), s.cfg.Trust); p.err != nil {
		return p
	}
	if p.path, p.err = s.cache.Fetch(ctx, a); p.err != nil {
		return p
	}
	if s.open() {
		return p
	}
	if p.login = old; !old.covers(w.tasks(), time.Now()) {
		p.login, p.err = s.askLogin(ctx, m.slot, w, old)
	}
	return p
}

// errNoProgram: the artefact is no program that this system can run.
var errNoProgram = errors.New("supervisor: not a program")

// permanent reports whether a program can never be run: trying again would not help.
func permanent(err error) bool {
	for _, e := range []error{artefact.ErrDigest, artefact.ErrMismatch, artefact.ErrSignature, artefact.ErrUntrusted, errNoProgram} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
