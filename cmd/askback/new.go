package main

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/template"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
)

const ourModule = "github.com/askback/askback"

func newCommand() *cobra.Command {
	var replace string
	cmd := &cobra.Command{
		Use: "new DIR", Short: "Write a small topology program to start from", GroupID: groupTopologies, Args: exactly(1),
		Long: `New writes a Go module with a topology that counts words, its test, and a page on how to go on. The directory is
made; it must not have anything in it. Its name becomes that of the module and of the topology.

Where askback itself was built from a checkout, or is called inside of one, the module uses that checkout; --replace
names another.`,
		Example: "  askback new wordstream && cd wordstream && go test ./... && go run .",
		RunE: func(cmd *cobra.Command, args []string) error {
			m, err := newModule(cmd.Context(), args[0], replace)
			if err != nil {
				return err
			}
			if err := m.write(); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "made %s. Next:\n\n  cd %[1]s\n", args[0])
			if m.Checkout == "" {
				fmt.Fprintln(cmd.OutOrStdout(), "  go mod tidy")
			}
			fmt.Fprintf(cmd.OutOrStdout(), "  go test ./...\n  go run . --kill 3\n\nREADME.md shows how to run it on a cluster.\n")
			return nil
		},
	}
	cmd.Flags().StringVar(&replace, "replace", "", "directory with the source of askback that the module is to use")
	return cmd
}

//go:embed skeleton
var skeleton embed.FS

// A module is one that is to be written.
type module struct {
	dir      string
	Name     string // of the module and the topology
	Checkout string // directory of our source; "" if a released version is used
	Version  string
	Go       string
	Require  string // the requirements of Askback itself
}

// errNotEmpty: there is something where the module is to be.
var errNotEmpty = errors.New("is not empty: choose another directory, nothing was written")

func newModule(ctx context.Context, dir, checkout string) (*module, error) {
	m := &module{dir: dir, Name: filepath.Base(filepath.Clean(dir)), Checkout: checkout}
	if m.Name == "." || m.Name == ".." {
		here, err := filepath.Abs(dir)
		if err != nil {
			return nil, err
		}
		m.Name = filepath.Base(here)
	}
	if err := cluster.CheckName("topology", m.Name, cluster.MaxName); err != nil {
		return nil, usage(fmt.Errorf("the directory's name is the topology's: %w", err))
	}
	if there, err := os.ReadDir(dir); err == nil && len(there) > 0 {
		return nil, usage(fmt.Errorf("%s %w", dir, errNotEmpty))
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if checkout == "" {
		m.Checkout = findCheckout()
	}
	if m.Checkout == "" {
		info, ok := debug.ReadBuildInfo()
		if !ok || info.Main.Path != ourModule || info.Main.Version == "" || strings.HasPrefix(info.Main.Version, "(") {
			return nil, errors.New("this askback does not know which version it is: name a directory with its source by --replace")
		}
		m.Version, m.Go = info.Main.Version, strings.TrimPrefix(runtime.Version(), "go")
		return m, nil
	}
	var err error
	if m.Checkout, err = filepath.Abs(m.Checkout); err != nil {
		return nil, err
	}
	return m, m.readCheckout(ctx)
}

// findCheckout returns the checkout that this program was built from, or that it is called in; "" if there is none.
func findCheckout() string {
	_, file, _, _ := runtime.Caller(0) // "" or no path if built with -trimpath
	candidates := []string{filepath.Dir(filepath.Dir(filepath.Dir(file)))}
	if dir, err := os.Getwd(); err == nil {
		for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
			candidates = append(candidates, dir)
		}
	}
	for _, dir := range candidates {
		if _, err := ourMod(dir); filepath.IsAbs(dir) && err == nil {
			return dir
		}
	}
	return ""
}

// ourMod reads the go.mod of a checkout.
func ourMod(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		return "", err
	}
	if first, _, _ := strings.Cut(string(text), "\n"); strings.TrimSpace(first) != "module "+ourModule {
		return "", fmt.Errorf("%s is not the source of %s", dir, ourModule)
	}
	return string(text), nil
}

// readCheckout copies from our go.mod the versions of the modules that the new one needs, so that it builds without a
// download.
func (m *module) readCheckout(ctx context.Context) error {
	text, err := ourMod(m.Checkout)
	if err != nil {
		return usage(err)
	}
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == "go" {
			m.Go = words[1]
		}
	}
	packages, err := skeletonImports()
	if err != nil {
		return err
	}
	list := exec.CommandContext(ctx, "go", append([]string{"list", "-deps", "-f", "{{with .Module}}{{.Path}} {{.Version}}{{end}}"}, packages...)...)
	list.Dir, list.Env = m.Checkout, append(os.Environ(), "GOWORK=off")
	var complaint bytes.Buffer
	list.Stderr = &complaint
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("find the requirements of %s: go list: %w: %s", m.Checkout, err, bytes.TrimSpace(complaint.Bytes()))
	}
	required := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		if words := strings.Fields(line); len(words) == 2 { // our own has no version
			required["\t"+words[0]+" "+words[1]+" // indirect\n"] = true
		}
	}
	m.Require = strings.Join(slices.Sorted(maps.Keys(required)), "")
	return nil
}

// ourPackage matches an import of one of our packages.
var ourPackage = regexp.MustCompile(`"(` + regexp.QuoteMeta(ourModule) + `[^"]*)"`)

// skeletonImports lists our packages that the new module imports.
func skeletonImports() (packages []string, err error) {
	err = fs.WalkDir(skeleton, "skeleton", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := skeleton.ReadFile(path)
		for _, match := range ourPackage.FindAllStringSubmatch(string(text), -1) {
			packages = append(packages, match[1])
		}
		return err
	})
	slices.Sort(packages)
	return slices.Compact(packages), err
}

// write writes the files.
func (m *module) write() error {
	files := map[string][]byte{}
	err := fs.WalkDir(skeleton, "skeleton", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := skeleton.ReadFile(path)
		if err != nil {
			return err
		}
		page, err := template.New(path).Delims("«", "»").Parse(string(text))
		if err != nil {
			return err
		}
		var b bytes.Buffer
		err = page.Execute(&b, m)
		name := strings.TrimSuffix(filepath.Base(path), ".tmpl")
		if name == "gitignore" { // go:embed leaves out files that begin with a dot
			name = ".gitignore"
		}
		files[name] = b.Bytes()
		return err
	})
	if err != nil {
		return err
	}
	if m.Checkout != "" {
		if files["go.sum"], err = os.ReadFile(filepath.Join(m.Checkout, "go.sum")); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(m.dir, 0o755); err != nil {
		return err
	}
	for name, content := range files {
		f, err := os.OpenFile(filepath.Join(m.dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}
