package peers

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Both programs compile, from the sources in the binary, and a second build has nothing to do.
func TestBuild(t *testing.T) {
	if _, err := exec.LookPath("mvn"); err != nil {
		t.Skip("NOT COMPILED: the programs for Storm and Flink need Maven, which is not installed")
	}
	inCI := os.Getenv("CI") != ""
	if testing.Short() && !inCI {
		t.Skip("-short: Maven takes half a minute, and longer when it must download")
	}
	dir := t.TempDir()
	for _, system := range Systems {
		if err := Build(t.Context(), system, dir); err != nil {
			if offline(err) && !inCI {
				t.Skipf("NOT COMPILED: Maven reached no repository: %v", err)
			}
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, system, "target", "classes", "askback", "peers", system, "Main.class")); err != nil {
			t.Error(err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	for _, system := range Systems {
		if err := Build(t.Context(), system, dir); err != nil {
			t.Errorf("second build of %s: %v", system, err)
		}
	}
}

func TestBuildWithoutMaven(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if err := Build(t.Context(), Storm, t.TempDir()); !errors.Is(err, ErrNoMaven) {
		t.Errorf("error %v, want %v", err, ErrNoMaven)
	}
}

func TestDir(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", "/cache")
	t.Setenv("HOME", "/home/user")
	dir, err := Dir()
	if err != nil || !strings.Contains(filepath.ToSlash(dir), "/askback/peers/") {
		t.Errorf("Dir() = %q, %v", dir, err)
	}
}

// offline reports whether Maven failed for want of a network.
func offline(err error) bool {
	for _, why := range []string{"Unknown host", "Connection refused", "Connect to", "Network is unreachable", "in offline mode"} {
		if strings.Contains(err.Error(), why) {
			return true
		}
	}
	return false
}
