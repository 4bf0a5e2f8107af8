package askback_test

import (
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Programs import at most so many packages.
const mostPublic = 20

// notForPrograms are packages that could be imported and are of no use to a program: its own tests and measurements.
var notForPrograms = []string{"bench", "cmd", "examples", "internal"}

// commandLines are modules that a program must not receive by importing the runtime.
var commandLines = []string{"github.com/spf13/cobra", "github.com/spf13/pflag", "golang.org/x/term"}

// logging is what only the inside uses: the public surface has log/slog.
const logging = "go.uber.org/zap"

// A listed package is one line of go list.
type listed struct{ path, export string }

// list runs go list -export -deps: the packages named and all that they import.
func list(t *testing.T, patterns ...string) (all []listed) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}"}, patterns...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		path, export, _ := strings.Cut(strings.TrimSpace(line), " ")
		all = append(all, listed{path, export})
	}
	return all
}

// public returns the directories of the packages that programs may import.
func public(t *testing.T) (dirs []string) {
	t.Helper()
	for _, f := range goFiles(t) {
		hidden := slices.ContainsFunc(notForPrograms, func(dir string) bool { return within(f.dir, dir) })
		if !f.test && !hidden && !slices.Contains(dirs, f.dir) {
			dirs = append(dirs, f.dir)
		}
	}
	slices.Sort(dirs)
	return dirs
}

// Importing the runtime brings no command-line framework.
func TestNoCommandLine(t *testing.T) {
	var patterns []string
	for _, dir := range public(t) {
		if dir != "cli" {
			patterns = append(patterns, "./"+dir)
		}
	}
	for _, p := range list(t, patterns...) {
		for _, m := range commandLines {
			if within(p.path, m) {
				t.Errorf("programs that import the runtime receive %s", p.path)
			}
		}
	}
}

// No exported identifier of a package for programs mentions a type of a package that they cannot import.
func TestPublicAPI(t *testing.T) {
	dirs := public(t)
	if len(dirs) > mostPublic {
		t.Errorf("programs may import %d packages, want %d at most: %v", len(dirs), mostPublic, dirs)
	}
	var patterns []string
	for _, dir := range dirs {
		patterns = append(patterns, "./"+dir)
	}
	exports := map[string]string{}
	for _, p := range list(t, patterns...) {
		exports[p.path] = p.export
	}
	imported := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("go list does not say where %s is", path)
		}
		return os.Open(exports[path])
	})
	for _, dir := range dirs {
		path := module + "/" + dir
		if dir == "." {
			path = module
		}
		pkg, err := imported.Import(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range pkg.Scope().Names() {
			if o := pkg.Scope().Lookup(name); o.Exported() {
				if err := mentions(o.Type(), map[types.Type]bool{}); err != nil {
					t.Errorf("%s.%s mentions %v", dir, name, err)
				}
			}
		}
	}
}

// mentions returns the type of an internal package, or of zap, that is part of a type as a program sees it.
func mentions(t types.Type, seen map[types.Type]bool) error {
	if seen[t] {
		return nil
	}
	seen[t] = true
	all := func(n int, at func(int) types.Type) error {
		for i := range n {
			if err := mentions(at(i), seen); err != nil {
				return err
			}
		}
		return nil
	}
	switch t := t.(type) {
	case *types.Alias:
		if err := belongs(t.Obj()); err != nil {
			return err
		}
		return mentions(t.Rhs(), seen)
	case *types.Named:
		if err := belongs(t.Obj()); err != nil {
			return err
		}
		err := all(t.TypeArgs().Len(), t.TypeArgs().At)
		if t.Obj().Pkg() == nil || t.Obj().Pkg().Path() != module && !strings.HasPrefix(t.Obj().Pkg().Path(), module+"/") {
			return err // the API of another module
		}
		for m := range t.Methods() {
			if m.Exported() {
				err = errors.Join(err, mentions(m.Type(), seen))
			}
		}
		return errors.Join(err, mentions(t.Underlying(), seen))
	case *types.TypeParam:
		return mentions(t.Constraint(), seen)
	case *types.Signature:
		return errors.Join(mentions(t.Params(), seen), mentions(t.Results(), seen),
			all(t.TypeParams().Len(), func(i int) types.Type { return t.TypeParams().At(i) }))
	case *types.Tuple:
		return all(t.Len(), func(i int) types.Type { return t.At(i).Type() })
	case *types.Struct:
		for f := range t.Fields() {
			if f.Exported() || f.Embedded() {
				if err := mentions(f.Type(), seen); err != nil {
					return err
				}
			}
		}
	case *types.Interface:
		for m := range t.Methods() {
			if m.Exported() {
				if err := mentions(m.Type(), seen); err != nil {
					return err
				}
			}
		}
	case *types.Map:
		return errors.Join(mentions(t.Key(), seen), mentions(t.Elem(), seen))
	case interface{ Elem() types.Type }: // pointers, slices, arrays, channels
		return mentions(t.Elem(), seen)
	}
	return nil
}

// belongs returns an error if a type belongs to what programs must not see.
func belongs(o *types.TypeName) error {
	if o.Pkg() == nil {
		return nil
	}
	if path := o.Pkg().Path(); strings.HasPrefix(path, module+"/internal/") || within(path, logging) {
		return fmt.Errorf("%s.%s", path, o.Name())
	}
	return nil
}
