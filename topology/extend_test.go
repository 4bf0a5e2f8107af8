package topology

import (
	"testing"

	"github.com/askback/askback/bolt"
)

// An extension sees every task, answers the spouts, and closes cycles that others may not.
func TestExtension(t *testing.T) {
	b := New("t")
	b.Spout("in", source).Parallel(2).Fields("a")
	b.Bolt("x", factory).Parallel(3).Shuffle("in")
	plain, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	p, err := b.BuildWith(&Extension{
		Operator: "_acker", Parallel: 2, Bolt: factory, Stream: "_ack", Fields: []string{"root", "edges"}, Key: "root",
		Answers: []string{"root"},
	}, bolt.Strategy{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Version == plain.Version {
		t.Error("the plan has the version of the one without the extension")
	}
	if o := plain.Operator("x"); len(o.Streams) != 0 {
		t.Errorf("the extension has stayed in the builder: %v", o.Streams)
	}
	acker := p.Operator("_acker")
	if acker == nil || !acker.System {
		t.Fatalf("no system operator: %+v", p.Operators)
	}
	for _, task := range acker.Tasks {
		if len(task.In) != 5 || len(task.Out) != 2 {
			t.Errorf("%v reads from %d tasks and sends to %d, want 5 and 2", task.Alias, len(task.In), len(task.Out))
		}
	}
	for _, task := range p.Operator("in").Tasks {
		if len(task.In) != 2 || task.Sink() {
			t.Errorf("%v has %d inputs, want an answer of each of 2", task.Alias, len(task.In))
		}
	}
	for _, task := range p.Operator("x").Tasks {
		if !task.Sink() || len(task.Out) != 2 {
			t.Errorf("%v: sink %v, %d channels, want a sink with 2 to the extension", task.Alias, task.Sink(), len(task.Out))
		}
	}
	for i, c := range p.Channels {
		if int(c.Number) != i || c.Target.In[c.In] != c || c.Source.Out[c.Out] != c {
			t.Errorf("channel %v is not joined at both ends", c.ID)
		}
	}
}
