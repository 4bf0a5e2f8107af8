package peers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// The systems.
const (
	Storm = "storm"
	Flink = "flink"
)

// Systems lists the systems that Build and Run know.
var Systems = []string{Storm, Flink}

// Errors of Build and Run where a program is missing.
var (
	ErrNoJava  = errors.New("peers: there is no java; install a JDK of version 17 or newer (Debian: apt-get install openjdk-17-jdk-headless) or set JAVA_HOME")
	ErrNoMaven = errors.New("peers: there is no mvn; install Maven 3.8 or newer (Debian: apt-get install maven)")
)

// The programs, and nothing of what Maven made of them.
//
//go:embed pom.xml */pom.xml */src
var programs embed.FS

// Dir returns where the programs are built by default: a folder for each version of them in the user's cache.
func Dir() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("peers: find a folder to build in: %w", err)
	}
	sum := sha256.New()
	err = eachProgramFile(func(name string, data []byte) error {
		fmt.Fprintf(sum, "%s %d\n", name, len(data))
		sum.Write(data)
		return nil
	})
	return filepath.Join(cache, "askback", "peers", fmt.Sprintf("%x", sum.Sum(nil)[:8])), err
}

// Build compiles a system's program in a folder (empty: that of Dir), and leaves there all that it needs to run. It
// does nothing if that has been done before. It reports its steps on standard error, since it may take minutes.
func Build(ctx context.Context, system, dir string) error {
	dir, err := known(system, dir)
	if err != nil {
		return err
	}
	if _, err := os.Stat(built(system, dir)); err == nil {
		return nil
	}
	mvn, err := exec.LookPath("mvn")
	if err != nil {
		return ErrNoMaven
	}
	if err := unpack(dir); err != nil {
		return fmt.Errorf("peers: unpack the program for %s: %w", system, err)
	}

	fmt.Fprintf(os.Stderr, "peers: Maven builds %s in %s; the first time it downloads what is needed\n", system, dir)
	began := time.Now()
	cmd := exec.CommandContext(ctx, mvn, "--batch-mode", "--quiet", "--projects", system, "--also-make", "package")
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("peers: build %s: %w\n%s", system, err, lastLines(out))
	}
	fmt.Fprintf(os.Stderr, "peers: built %s in %.0f s\n", system, time.Since(began).Seconds())
	return os.WriteFile(built(system, dir), nil, 0o644)
}

// known checks a system's name, and returns the folder that is meant.
func known(system, dir string) (string, error) {
	if system != Storm && system != Flink {
		return "", fmt.Errorf("peers: there is no system %q; choose of %q", system, Systems)
	}
	if dir == "" {
		return Dir()
	}
	return filepath.Abs(dir)
}

// built returns the file that marks a system's program as ready.
func built(system, dir string) string { return filepath.Join(dir, system, "target", "built") }

func unpack(dir string) error {
	return eachProgramFile(func(name string, data []byte) error {
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		return os.WriteFile(file, data, 0o644)
	})
}

func eachProgramFile(do func(name string, data []byte) error) error {
	return fs.WalkDir(programs, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := programs.ReadFile(name)
		if err != nil {
			return err
		}
		return do(name, data)
	})
}

// lastLines returns the end of the output of a program, which is where it names the error.
func lastLines(said []byte) []byte {
	const most = 4 << 10
	said = bytes.TrimSpace(said)
	if len(said) > most {
		said = said[len(said)-most:]
		said = said[bytes.IndexByte(said, '\n')+1:]
	}
	return said
}
