package auth_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/auth"
)

// People of role operate upload and sign, nimbus and supervisors verify and fetch; all others are refused.
func TestArtefacts(t *testing.T) {
	y := newYard(t, 1)
	nimbus, operate, view, host := y.as(t, "nimbus"), y.as(t, "operate"), y.as(t, "view"), y.as(t, "supervisor-host-1")
	setup(t, nimbus, 1)
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, bytes.Repeat([]byte("program "), 1<<18), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*client{"view": view, "supervisor": host} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		if _, err := artefact.Put(ctx, c.Conn, p, program, nil); err == nil {
			t.Errorf("%s uploads", name)
		}
		cancel()
	}
	a, err := artefact.Put(t.Context(), operate.Conn, p, program, nil)
	if err != nil {
		t.Fatal(err)
	}
	b := a
	if err := errors.Join(artefact.Sign(operate.user, "words", &a), artefact.Sign(view.user, "words", &b)); err != nil {
		t.Fatal(err)
	}
	accounts, err := auth.ReadTrust(filepath.Join(y.dir, "trust"))
	if err != nil {
		t.Fatal(err)
	}
	trust := artefact.Trust{Accounts: accounts, Now: time.Now()}
	if err := artefact.Verify(a, "words", trust); err != nil {
		t.Error(err)
	}
	if err := artefact.Verify(b, "words", trust); !errors.Is(err, artefact.ErrUntrusted) {
		t.Error(err)
	}
	// A user issued by nimbus's key may not submit, with any tags.
	w := y.worker(t, first, time.Hour, "a.0")
	if err := artefact.Sign(w, "words", &b); err != nil {
		t.Fatal(err)
	}
	if err := artefact.Verify(b, "words", trust); !errors.Is(err, artefact.ErrUntrusted) {
		t.Error(err)
	}
	if err := artefact.Get(t.Context(), nimbus.Conn, p, a, &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
	cache, err := artefact.NewCache(t.TempDir(), host.Conn, p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cache.Fetch(t.Context(), a); err != nil {
		t.Error(err)
	}
}
