package recovery_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

func ExampleDecode() {
	b := recovery.AppendBool(binary.AppendUvarint(nil, 300), true)
	d := recovery.Decode(b)
	fmt.Println(d.Uvarint(), d.Bool(), d.Done())
	fmt.Println(d.Uint32(), d.Bad())
	// Output:
	// 300 true true
	// 0 true
}

// A queue is a slice.
func TestQueue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q recovery.Queue
		var twin []msgid.Seq
		next := msgid.Seq(0)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			switch op := rapid.IntRange(0, 3).Draw(t, "op"); {
			case op < 2:
				next++
				q.Push(channel.Frame{Header: channel.Header{First: next}})
				twin = append(twin, next)
			case len(twin) == 0:
			case op == 2:
				if f := q.Pop(); f.First != twin[0] {
					t.Fatalf("popped %d, want %d", f.First, twin[0])
				}
				twin = twin[1:]
			default:
				q.Drop()
				twin = twin[:len(twin)-1]
			}
			if q.Len() != len(twin) {
				t.Fatalf("%d frames, want %d", q.Len(), len(twin))
			}
			if n := len(twin); n > 0 && (q.Front().First != twin[0] || q.Back().First != twin[n-1]) {
				t.Fatalf("from %d to %d, want %v", q.Front().First, q.Back().First, twin)
			}
		}
	})
}
