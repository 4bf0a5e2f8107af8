package askback_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/askback/askback"

// house is the order of the packages: each may import those before it. A package below one of them, such as
// internal/channel/natschan, is on its floor, unless it has one of its own. The root package is called ".".
var house = []string{
	"msgid", "strategy", "internal/wire", "internal/retry", "internal/must", "tuple", "state", "internal/natstest", "internal/pgtest", "internal/position", "bolt",
	"internal/words", "spout", "topology", "internal/codec", "stream", "connect",
	"internal/channel", "internal/checkpoint", "internal/recovery", "internal/recovery/acker/tracking", "internal/recovery/acker", "internal/strategies",
	"internal/task", "internal/task/migrate", "internal/executor", "internal/sim", "stream/streamtest",
	"internal/cluster/schedule", "internal/cluster", "internal/cluster/natscluster", "internal/cluster/artefact", "internal/cluster/auth",
	"internal/cluster/nimbus/core", "internal/cluster/nimbus", "internal/cluster/supervisor", "internal/cluster/worker",
	"internal/cluster/client", "internal/cluster/view", "internal/inject", "internal/slogzap", ".", "faults", "cli", "connect/journal",
	"internal/settings", "internal", "bench", "cmd", "examples",
}

// machines decide and do not act: time reaches them as a tick, chance as a seed, and the rest as an event. Their
// tests are free.
var machines = []string{
	"internal/recovery", "internal/recovery/backtrack", "internal/recovery/ack", "internal/recovery/acker",
	"internal/recovery/acker/tracking", "internal/recovery/barrier", "internal/recovery/none", "internal/cluster/schedule",
}

// notForMachines are packages of the standard library by which a machine could reach beyond itself.
var notForMachines = []string{"context", "crypto/rand", "io/fs", "math/rand", "math/rand/v2", "net", "os", "runtime", "sync", "sync/atomic", "syscall", "time"}

// natsUsers are the places where NATS may be imported, besides tests.
var natsUsers = []string{
	"internal/channel/natschan", "internal/checkpoint/natslog", "connect/jetstream", "connect/journal", "bench",
	"internal/cluster/natscluster", "internal/cluster/artefact", "internal/cluster/auth", "internal/cluster/nimbus",
	"internal/cluster/supervisor", "internal/cluster/worker", "internal/cluster/client", "internal/cluster/standin", "cmd", "internal/natstest",
	"internal/clustertest/hostile",
}

// pure are packages that decide or describe, with all of ours that each may import. They import no NATS. Their tests are
// free.
var pure = map[string][]string{
	"internal/cluster":             {"msgid", "internal/recovery"},
	"internal/cluster/schedule":    {"msgid"},
	"internal/cluster/nimbus/core": {"msgid", "internal/cluster", "internal/cluster/schedule"},
	"internal/cluster/view":        {"msgid", "internal/cluster"},
}

// testKits are for tests, which may import them from any floor. Other code may not, but for the places in
// usesTestKits.
var testKits = []string{"faults", "cli", "internal/must", "bolt/bolttest", "internal/cluster/standin", "stream/streamtest"}

// usesTestKits are the programs and examples that show faults.
var usesTestKits = []string{"cli", "examples", "internal/wordcheck"}

// Imports run downward only.
func TestImportFloors(t *testing.T) {
	for _, f := range goFiles(t) {
		if floor(f.dir) < 0 {
			t.Errorf("%s: package %s has no floor: add it to the house", f.path, f.dir)
			continue
		}
		for _, imported := range f.imports {
			dir, ours := own(imported)
			switch {
			case ours && !f.test && !downward(f.dir, dir):
				t.Errorf("%s imports %s, which is not below it", f.path, imported)
			case ours && slices.Contains(testKits, dir):
				if !f.test && !slices.ContainsFunc(usesTestKits, func(user string) bool { return within(f.dir, user) }) {
					t.Errorf("%s imports %s, which is for tests", f.path, imported)
				}
			case ours && f.test && floor(dir) > floor(f.dir):
				t.Errorf("%s imports %s, which is above it", f.path, imported)
			case !f.test && pure[f.dir] != nil && (isNATS(imported) || ours && !slices.Contains(pure[f.dir], dir)):
				t.Errorf("%s imports %s: package %s may import of ours only %s, and no NATS", f.path, imported, f.dir, strings.Join(pure[f.dir], ", "))
			case isNATS(imported) && !f.test && !slices.ContainsFunc(natsUsers, func(user string) bool { return within(f.dir, user) }):
				t.Errorf("%s imports %s: NATS is for %s", f.path, imported, strings.Join(natsUsers, ", "))
			case !f.test && slices.Contains(machines, f.dir) && slices.Contains(notForMachines, imported):
				t.Errorf("%s imports %s: a machine has no clock, no chance, no goroutine and no outside", f.path, imported)
			}
		}
	}
}

// The table of dependencies is that of go.mod: the imports of the code and its tests, and the tools.
func TestDependencies(t *testing.T) {
	mod := parseMod(t)
	used := map[string]bool{}
	for _, f := range goFiles(t) {
		for _, imported := range f.imports {
			if m := mod.providing(imported); m != "" {
				used[m] = true
			}
		}
	}
	for _, tool := range mod.tools {
		used[mod.providing(tool)] = true
	}
	page, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		listed[row[1]] = true
	}
	for _, m := range slices.Sorted(maps.Keys(used)) {
		if !listed[m] {
			t.Errorf("docs/dependencies.md does not say why %s is needed", m)
		}
	}
	for _, m := range slices.Sorted(maps.Keys(listed)) {
		if !used[m] {
			t.Errorf("docs/dependencies.md lists %s, which nothing imports", m)
		}
	}
	for _, m := range mod.direct {
		if !used[m] {
			t.Errorf("go.mod requires %s, which nothing imports: run go mod tidy", m)
		}
	}
}

// Every package has a comment.
func TestPackageComments(t *testing.T) {
	said := map[string]bool{}
	for _, f := range goFiles(t) {
		if !f.test {
			said[f.dir] = said[f.dir] || f.comment
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(said)) {
		if !said[dir] {
			t.Errorf("package %s has no comment: add a doc.go", dir)
		}
	}
}

// The topology that the README shows is the one that compiles.
func TestReadme(t *testing.T) {
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile("examples/first/main.go")
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(program), "package main\n")
	if !strings.Contains(string(page), "```go\npackage main\n"+body+"```") {
		t.Error("the program in README.md is not that of examples/first/main.go")
	}
}

// downward reports whether one of our packages may import another: from a lower floor, or what it is part of.
func downward(from, to string) bool {
	return floor(to) < floor(from) || floor(to) == floor(from) && to != from && within(from, to)
}

// floor returns where in the house a package is; -1 if nowhere.
func floor(dir string) int {
	for ; dir != ""; dir = strings.TrimSuffix(path.Dir(dir), ".") {
		if n := slices.Index(house, dir); n >= 0 {
			return n
		}
	}
	return -1
}

// within reports whether a package is another one or lies below it.
func within(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }

// own returns the directory of one of our packages.
func own(imported string) (dir string, ok bool) {
	if imported == module {
		return ".", true
	}
	return strings.CutPrefix(imported, module+"/")
}

func isNATS(imported string) bool { return strings.HasPrefix(imported, "github.com/nats-io/") }

// A goFile is one file of the module.
type goFile struct {
	path, dir string
	test      bool
	comment   bool // it has the package's comment
	imports   []string
}

func goFiles(t *testing.T) (files []goFile) {
	t.Helper()
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && p != "." && (d.Name()[0] == '.' || d.Name()[0] == '_' || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(p) != ".go" {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		p = filepath.ToSlash(p)
		f := goFile{path: p, dir: path.Dir(p), test: strings.HasSuffix(p, "_test.go"), comment: parsed.Doc != nil}
		for _, i := range parsed.Imports {
			imported, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("only %d Go files were found", len(files))
	}
	return files
}

// A modFile is what the test needs to know of go.mod.
type modFile struct {
	required, direct []string // modules; direct are those without the comment "// indirect"
	tools            []string // packages
}

func parseMod(t *testing.T) (m modFile) {
	t.Helper()
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	block := ""
	for line := range strings.Lines(string(data)) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		verb := block
		switch {
		case words[0] == ")":
			block = ""
			continue
		case len(words) == 2 && words[1] == "(":
			block = words[0]
			continue
		case block == "":
			verb, words = words[0], words[1:]
		}
		switch verb {
		case "require":
			m.required = append(m.required, words[0])
			if !strings.Contains(line, "// indirect") {
				m.direct = append(m.direct, words[0])
			}
		case "tool":
			m.tools = append(m.tools, words[0])
		}
	}
	return m
}

// providing returns the required module that a package belongs to, or "".
func (m modFile) providing(pkg string) (module string) {
	for _, r := range m.required {
		if within(pkg, r) && len(r) > len(module) {
			module = r
		}
	}
	return module
}
