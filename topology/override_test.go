package topology_test

import (
	"context"
	"strings"
	"testing"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// An overridden number of tasks counts like a declared one: in the plan, in its version, and in its errors. The builder
// itself does not change.
func TestOverride(t *testing.T) {
	declared := func(split int) *topology.Builder {
		pass := bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })
		b := topology.New("words")
		b.Spout("lines", spout.Generate(1, func(int64, spout.Emitter) error { return nil })).Fields("line")
		b.Bolt("split", pass).Parallel(split).Shuffle("lines").Fields("word")
		b.Bolt("count", pass).Parallel(2).GroupBy("split", "word")
		return b
	}
	version := func(b *topology.Builder) uint64 {
		t.Helper()
		plan, err := b.Build()
		if err != nil {
			t.Fatal(err)
		}
		return plan.Version
	}
	b := declared(2)
	if version(b.Override(map[string]int{"split": 4})) != version(declared(4)) {
		t.Error("an override makes another plan than the declaration")
	}
	if version(b.Override(map[string]int{"split": 3, "count": 2}).Override(map[string]int{"split": 4})) != version(declared(4)) {
		t.Error("the later of two overrides does not count")
	}
	if version(b) != version(declared(2)) || version(b.Override(nil)) != version(b) {
		t.Error("the builder itself has changed")
	}
	for says, parallel := range map[string]map[string]int{
		"Parallel(0)":          {"split": 0},
		"no operator \"none\"": {"none": 1},
		"a spout's tasks":      {"lines": 2},
	} {
		if _, err := b.Override(parallel).Build(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v, want %q", parallel, err, says)
		}
	}
}
