package tuple_test

import (
	"fmt"

	"github.com/askback/askback/msgid"
	"github.com/askback/askback/tuple"
)

// payload is the simplest sink: it gathers rows one after another, as a frame does.
type payload []byte

func (p *payload) Take(r *tuple.Row) error {
	*p = append(*p, r.Encoded()...)
	return nil
}

func Example() {
	fields, err := tuple.NewFields("word", "n")
	if err != nil {
		fmt.Println(err)
		return
	}

	var frame payload
	row := tuple.NewRow(fields, &frame)
	row.Begin().Bytes([]byte("to")).Int(2).Emit()
	row.Begin().String("be").Int(1).Emit()
	fmt.Println("refused:", row.Begin().String("or").Emit())
	frame = tuple.AppendEnd(frame)

	channel, _ := msgid.ParseChannel("split.1>count.3")
	var c tuple.Cursor
	c.Reset(frame, tuple.Origin{Channel: &channel, First: 42, Fields: fields})
	for {
		item, err := c.Next()
		if err != nil || item == tuple.None {
			break
		}
		if item == tuple.End {
			fmt.Println("end")
			continue
		}
		t := c.Tuple()
		fmt.Println(t.ID(), t.String(0), t.Field("n").Int())
	}
	// Output:
	// refused: tuple: wrong number of values: 1 for 2 fields (word, n)
	// split.1>count.3#42 to 2
	// split.1>count.3#43 be 1
	// end
}

func ExampleTuple_Err() {
	fields, _ := tuple.NewFields("word", "n")
	t, _ := tuple.New(fields, "to", 2)
	if n := t.Field("word").Int(); t.Err() != nil {
		fmt.Println(n, t.Err())
	}
	// Output: 0 tuple: field word: want integer of 64 bits with sign, got a string
}
