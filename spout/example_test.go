package spout_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/tuple"
)

// Powers emits the powers of two.
type Powers struct{ n uint64 }

func (p *Powers) Next(_ context.Context, out spout.Emitter) error {
	if p.n == 64 {
		return io.EOF
	}
	if err := out.Row().Uint(1 << p.n).Emit(); err != nil {
		return err
	}
	p.n++
	return nil
}

func (p *Powers) Position(dst []byte) []byte { return binary.AppendUvarint(dst, p.n) }

func (p *Powers) Seek(position []byte) error {
	p.n, _ = binary.Uvarint(position)
	return nil
}

// A custom spout, and how a restored task continues with it.
func Example() {
	source := spout.Func(func() spout.Spout { return &Powers{} })
	out := bolttest.NewEmitter("power")

	s := source.New()
	for range 4 {
		if err := s.Next(context.Background(), out); err != nil {
			log.Fatal(err)
		}
	}
	restored := source.New()
	if err := restored.Seek(s.Position(nil)); err != nil {
		log.Fatal(err)
	}
	if err := restored.Next(context.Background(), out); err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.Rows(""))
	// Output: [[1] [2] [4] [8] [16]]
}

// Numbers that are not even end in the source's own task. A topology calls the spout; here the example does.
func ExampleThrough() {
	even := bolt.Func(func(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
		if t.Int(0)%2 == 1 {
			return nil
		}
		return out.Row().Tuple(t).Emit()
	})
	numbers := spout.Through(spout.Slice(1, 2, 3, 4)).Fields("n").Then("even", even)
	// b.Spout("numbers", numbers).Fields("n")

	s, out := numbers.New(), bolttest.NewEmitter("n")
	if err := s.(spout.Opener).Open(bolttest.NewContext("numbers", 0, 1)); err != nil {
		log.Fatal(err)
	}
	if err := s.Next(context.Background(), out); err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.Rows(""))
	// Output: [[2] [4]]
}

func ExampleGenerate() {
	squares := spout.Generate(5, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Int(i * i).Emit() })

	s := squares.New()
	if err := s.(spout.Opener).Open(bolttest.NewContext("squares", 1, 2)); err != nil { // the second of two tasks
		log.Fatal(err)
	}
	out := bolttest.NewEmitter("n", "square")
	if err := s.Next(context.Background(), out); err != nil {
		log.Fatal(err)
	}
	fmt.Println(out.Rows(""))
	// Output: [[1 1] [3 9]]
}
