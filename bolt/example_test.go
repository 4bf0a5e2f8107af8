package bolt_test

import (
	"bytes"
	"context"
	"fmt"
	"log"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/tuple"
)

// Longest keeps the longest word and emits it when the input has ended.
type Longest struct{ word []byte }

func (l *Longest) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	if w := t.Bytes(0); len(w) > len(l.word) {
		l.word = append(l.word[:0], w...) // a copy: t is valid only during the call
	}
	return nil
}

func (l *Longest) Finish(_ context.Context, out bolt.Emitter) error {
	return out.Row().Bytes(l.word).Emit()
}
func (l *Longest) Snapshot() ([]byte, error) { return bytes.Clone(l.word), nil }
func (l *Longest) Restore(data []byte) error { l.word = bytes.Clone(data); return nil }

// A custom bolt, and how a restored task continues with it.
func Example() {
	words := func(b bolt.Bolt, words ...string) {
		for _, w := range words {
			if err := b.Execute(context.Background(), bolttest.MustTuple("word", w), nil); err != nil {
				log.Fatal(err)
			}
		}
	}
	lost := &Longest{}
	words(lost, "to", "suffer")
	snapshot, err := lost.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	words(lost, "outrageous") // the snapshot does not cover it: the restored task consumes it again

	restored, out := &Longest{}, bolttest.NewEmitter("word")
	if err := restored.Restore(snapshot); err != nil {
		log.Fatal(err)
	}
	words(restored, "outrageous", "fortune")
	fmt.Println(restored.Finish(context.Background(), out), out.Rows(""))
	// Output: <nil> [[outrageous]]
}

// Words are split and counted by one operator. A topology calls the chain; here the example does.
func ExampleChain() {
	split := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		for word := range bytes.FieldsSeq(t.Field("line").Bytes()) {
			if err := out.Row().Bytes(word).Emit(); err != nil {
				return err
			}
		}
		return nil
	})
	chain := bolt.Chain("split", split).Fields("word").Then("longest", func() bolt.Bolt { return &Longest{} })
	// b.Bolt("words", chain.New).Shuffle("lines").Fields("word")

	b, out := chain.New(), bolttest.NewEmitter("word")
	if err := b.(bolt.Preparer).Prepare(bolttest.NewContext("words", 0, 1)); err != nil {
		log.Fatal(err)
	}
	for _, line := range []string{"the slings and arrows", "of outrageous fortune"} {
		if err := b.Execute(context.Background(), bolttest.MustTuple("line", line), out); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(b.(bolt.Finisher).Finish(context.Background(), out), out.Rows(""))
	// Output: <nil> [[outrageous]]
}

func ExampleFunc() {
	long := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if len(t.Bytes(0)) < 4 {
			return nil
		}
		return out.Row().Bytes(t.Bytes(0)).Emit()
	})

	b, out := long(), bolttest.NewEmitter("word")
	for _, w := range []string{"the", "slings", "and", "arrows"} {
		if err := b.Execute(context.Background(), bolttest.MustTuple("word", w), out); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(out.Rows(""))
	// Output: [[slings] [arrows]]
}
