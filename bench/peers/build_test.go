package peers

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/words"
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
	sameWords(t, dir)

	t.Setenv("PATH", t.TempDir())
	for _, system := range Systems {
		if err := Build(t.Context(), system, dir); err != nil {
			t.Errorf("second build of %s: %v", system, err)
		}
	}
}

// sameWords checks that the programs find those words in a file that we find.
func sameWords(t *testing.T, dir string) {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	data := []byte("\n\nx\r\n_Z9 é \x00\xff\xc3\n" + strings.Repeat("long ", 20_000) + "\n")
	for range 100_000 {
		data = append(data, byte(random.Uint32()))
	}
	file := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}

	java, err := findJava()
	if err != nil {
		t.Fatal(err)
	}
	got, err := exec.Command(java, "-cp", filepath.Join(dir, "common", "target", "classes"), "askback.peers.Text", file).Output()
	if err != nil {
		t.Fatal(err)
	}
	var want []byte
	for line := range bytes.SplitSeq(data, []byte("\n")) {
		if len(line) > 64<<10 { // as bench.Text does
			continue
		}
		for word := range words.Of(line) {
			want = append(append(want, word...), '\n')
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("Java finds %d words, Go %d", bytes.Count(got, []byte("\n")), bytes.Count(want, []byte("\n")))
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
