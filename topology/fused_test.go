package topology

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/tuple"
)

var noop = bolt.Func(func(context.Context, tuple.Tuple, bolt.Emitter) error { return nil })

// All errors of compositions are reported at once, with all others.
func TestFusedMisuse(t *testing.T) {
	b := New("fused")
	b.Spout("in", spout.Through(spout.Slice(1)).Fields("n", "n").Then("finishes", func() bolt.Bolt { return finishing{noop()} })).Fields("n")
	b.Spout("panics", spout.Through(spout.Slice(1)).Fields("n").Then("p", func() bolt.Bolt { panic("no bolt today") })).Fields("n")
	b.Bolt("one", bolt.Chain("a", noop).Fields().Then("a", nil).New).Shuffle("in").Tick(time.Second)
	b.Bolt("two", bolt.Chain("two", noop).Fields("n").Then("one", noop).Fields("n").Then("b", noop).New).Shuffle("in")
	b.Bolt("three", bolt.Chain("b", noop).New).Shuffle("nowhere")
	_, err := b.Build()
	says := []string{
		`operator "in": the source given to Through hands on tuples by .Fields(["n" "n"])`,
		`operator "in": step "finishes" has Finish`,
		`operator "panics": a bolt's factory panicked: no bolt today`,
		`operator "one": step "a" hands on tuples by .Fields([])`,
		`operator "one": step "a" is there twice`,
		`operator "one": step "a" has no factory`,
		`operator "one": Tick(1s), but none of its steps has a method Tick`,
		`operator "two": step "one" has the name of operator "one"`,
		`operator "three": step "b" has the name of operator "two", or of a step of it`,
		`operator "three": stream "nowhere": there is no operator`,
	}
	for _, part := range says {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s is not reported", part)
		}
	}
	if all, ok := err.(interface{ Unwrap() []error }); !ok || len(all.Unwrap()) != len(says) {
		t.Errorf("want %d errors:\n%v", len(says), err)
	}
}

// The plan shows the fused steps, and a step may have its operator's name.
func TestFusedPlan(t *testing.T) {
	fails := func() bolt.Bolt { return refusing{noop()} }
	b := New("fused")
	b.Spout("in", spout.Through(spout.Slice(1)).Fields("n").Then("a", noop)).Fields("n")
	b.Bolt("b", bolt.Chain("b", noop).Fields("n").Then("c", fails).New).Shuffle("in").Fields("n")
	b.Bolt("d", bolt.Chain("d", noop).New).Shuffle("b")
	plan, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	for i, note := range []string{"fused: in, a", "fused: b, c", ""} {
		if got := plan.Operators[i].Note; got != note {
			t.Errorf("operator %s has the note %q, want %q", plan.Operators[i].Name, got, note)
		}
	}
	var e *Error
	if _, err := b.BuildWith(nil, bolt.Strategy{Name: "none"}); !errors.As(err, &e) || e.Operator != "b" || e.Problem != `step "c": not so` {
		t.Errorf("the refusal of a step: %v", err)
	}
}

type finishing struct{ bolt.Bolt }

func (finishing) Finish(context.Context, bolt.Emitter) error { return nil }

type refusing struct{ bolt.Bolt }

func (refusing) Verify(bolt.Strategy) error { return errors.New("not so") }
