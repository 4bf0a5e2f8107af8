package recovery_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// Each rule of a strategy has one name, in all strategies together, so that a comment far from its protocol cites it
// without naming the strategy. Rules are defined in the strategies' doc.go, invariants in that of the simulator, and
// comments cite only defined ones.
func TestRulesHaveOneName(t *testing.T) {
	docs, err := filepath.Glob("*/doc.go")
	if err != nil || len(docs) == 0 {
		t.Fatalf("no strategies are found: %v", err)
	}
	defined := map[string]string{}
	for _, file := range append(docs, "../sim/doc.go") {
		for _, m := range regexp.MustCompile(`(?m)^//(?:   - |\t)([A-Z]\d)(?:: |  )`).FindAllStringSubmatch(readFile(t, file), -1) {
			if other, twice := defined[m[1]]; twice {
				t.Errorf("rule %s is defined in %s and in %s", m[1], other, file)
			}
			defined[m[1]] = file
		}
	}
	if len(defined) < 30 {
		t.Errorf("only %d rules are defined: %v", len(defined), defined)
	}
	for _, pattern := range []string{"*.go", "*/*.go", "../checkpoint/*.go", "../task/*.go", "../sim/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, file := range files {
			for _, m := range regexp.MustCompile(`//.*?\b([A-Z]\d)\b`).FindAllStringSubmatch(readFile(t, file), -1) {
				if defined[m[1]] == "" {
					t.Errorf("%s cites rule %s, which is not defined", file, m[1])
				}
			}
		}
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
