package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/askback/askback/internal/sim"
)

func execute(args ...string) (string, error) {
	var out bytes.Buffer
	c := root()
	c.SetArgs(args)
	c.SetOut(&out)
	c.SetErr(&bytes.Buffer{})
	err := c.Execute()
	return out.String(), err
}

func TestSim(t *testing.T) {
	out, err := execute("sim", "--seeds", "20", "--parallel", "2", "--json")
	var report sim.Report
	if err != nil || json.Unmarshal([]byte(out), &report) != nil || report.Total.Schedules != 20 {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = execute("sim", "--seeds", "20", "--shape", "diamond", "--form", "rows", "--faults", "crash,drop", "--strategy", "backtrack")
	if err != nil || !strings.Contains(out, "diamond  rows         20") || strings.Contains(out, "merge") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = execute("sim", "--seeds", "4", "--form", "isolated", "--shape", "long_chain")
	if err != nil || !strings.Contains(out, "long_chain  isolated  ") || strings.Contains(out, " fused ") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = execute("sim", "--scenario", sim.ScenarioOf(7).String())
	if err != nil || !strings.Contains(out, "1 schedules") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = execute("sim", "--help")
	if err != nil || !strings.Contains(out, "partial_key") || !strings.Contains(out, "chained_state") || !strings.Contains(out, "--form") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = execute("sim", "--list")
	if err != nil || !strings.Contains(out, "early_release") || !strings.Contains(out, "zombie") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A violation is printed with its scenario, and a smaller one; the exit status is not 0.
func TestSimViolation(t *testing.T) {
	out, err := execute("sim", "--seeds", "10", "--bug", "no_determinants", "--shrink", "20")
	if !errors.Is(err, errViolated) || !strings.Contains(out, "violated: ") || !strings.Contains(out, `"bug":"no_determinants"`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestSimRefusesFlags(t *testing.T) {
	for _, args := range [][]string{
		{"--shape", "moebius"}, {"--bug", "heisenbug"}, {"--faults", "gravity"}, {"--scenario", "{"}, {"--strategy", "hope"}, {"--form", "verse"}, {"more"},
	} {
		if _, err := execute(append([]string{"sim"}, args...)...); err == nil || errors.Is(err, errViolated) {
			t.Errorf("%v: %v", args, err)
		}
	}
}
