package codec

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/tuple"
)

type (
	tree   struct{ Children []tree }
	ping   struct{ Pong *pong }
	pong   struct{ Ping map[string]ping }
	hidden struct{ a, B int } // a is there to be refused
	named  struct {
		time.Time
		Zone string
	}
	onlyTime struct{ time.Time }
	lists    [][][][][][][][]int
	deeper   [][][][][][][][][][][][][][][][][][][][][][][][][][][][][][]lists
	huge     struct{ A [10000]int64 }
	inner    struct{ X int }
	outer    struct {
		inner
		X string
	}
	tagged struct {
		inner `askback:"in"`
	}
	Exported struct {
		inner
		X int `askback:"x2"`
	}
)

var _ = hidden{}.a

// refused returns the problems that Of finds with T.
func refused[T any](t *testing.T) []Problem {
	t.Helper()
	c, err := Of[T]()
	var wrong *TypeError
	if !errors.As(err, &wrong) || c != nil {
		t.Errorf("%v: %v", reflect.TypeFor[T](), err)
		return nil
	}
	if _, again := Of[T](); again != err {
		t.Errorf("%v is derived twice", reflect.TypeFor[T]())
	}
	return wrong.Problems
}

func TestOfRefuses(t *testing.T) {
	wide := make([]reflect.StructField, tuple.MaxFields+1)
	for i := range wide {
		wide[i] = reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: reflect.TypeFor[int]()}
	}
	d := deriver{coders: map[reflect.Type]*coder{}}
	d.derive(reflect.StructOf(wide), "wide")
	if len(d.problems) != 1 || !strings.HasPrefix(d.problems[0].Reason, "has 1025 fields, and at most 1024") {
		t.Errorf("too many fields: %v", d.problems)
	}
	for want, got := range map[string][]Problem{
		"any is of interface type interface {}, and":                    refused[any](t)[:1],
		"Reader is of interface type io.Reader":                         refused[io.Reader](t),
		"chan int is of type chan int, which has a meaning":             refused[chan int](t),
		"func() is of type func()":                                      refused[func()](t),
		"Pointer is of type unsafe.Pointer":                             refused[unsafe.Pointer](t),
		"uintptr is of type uintptr":                                    refused[uintptr](t),
		"complex64 is of type complex64":                                refused[complex64](t),
		"tree.Children[] is of type codec.tree, which contains itself":  refused[tree](t),
		"ping.Pong.Ping[] is of type codec.ping, which contains itself": refused[ping](t),
		"hidden.a is not exported":                                      refused[hidden](t),
		"[]codec.hidden[].a is not exported":                            refused[[]hidden](t),
		"named is of type codec.named, which has the form of its":       refused[named](t),
		"**int is of type **int, and a pointer to nil":                  refused[**int](t),
		"*[]int is of type *[]int":                                      refused[*[]int](t),
		"map[*int]bool[key] is of type *int":                            refused[map[*int]bool](t),
		"[]codec.huge[] takes 80000 bytes":                              refused[[]huge](t),
		"*codec.huge takes 80000 bytes":                                 refused[*huge](t),
		"outer has two fields of the name X":                            refused[outer](t),
		"tagged.inner is not exported":                                  refused[tagged](t),
		"struct { *codec.inner }.inner is an embedded pointer":          refused[struct{ *inner }](t),
		`struct { Größe int }.Größe has the name "Größe"`:               refused[struct{ Größe int }](t),
		`struct { A int "askback:\"a b\"" }.A has the name "a b"`: refused[struct {
			A int `askback:"a b"`
		}](t),
		`struct { A int "askback:\"\"" }.A has the name ""`: refused[struct {
			A int `askback:""`
		}](t),
	} {
		if len(got) != 1 {
			t.Errorf("%s: %v", want, got)
			continue
		}
		p := got[0]
		if text := strings.Replace(p.Path+" "+p.Reason, "interface {} is", "any is", 1); !strings.HasPrefix(text, want) || p.Remedy == "" {
			t.Errorf("%s (%s), want %s", text, p.Remedy, want)
		}
	}
	if got := refused[deeper](t); len(got) == 0 || !strings.Contains(got[0].Reason, "nests arrays and maps 32 deep") {
		t.Errorf("too deep: %v", got)
	}
}

// All problems are listed at once, by their paths.
func TestOfListsAllProblems(t *testing.T) {
	type part struct {
		Meta any
		c    chan int
	}
	_ = part{}.c // it is there to be refused
	type order struct {
		Parts []part
		Done  func()
		More  map[string]*part
		Fine  int
	}
	_, err := Of[order]()
	want := `codec: codec.order cannot be carried in a tuple:
	order.Parts[].Meta is of interface type interface {}, and its reader could not know the type of the value: use a concrete type
	order.Parts[].c is not exported and would be lost: export it, leave the field out with the tag ` + "`askback:\"-\"`" + `, or give the type MarshalBinary and UnmarshalBinary
	order.Done is of type func(), which has a meaning in one process only: leave the field out with the tag ` + "`askback:\"-\"`"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
	_, err = Of[hidden]()
	want = "codec: codec.hidden cannot be carried in a tuple: hidden.a is not exported and would be lost: export it, leave the field out with the tag `askback:\"-\"`, or give the type MarshalBinary and UnmarshalBinary"
	if err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
}

func TestEmbedded(t *testing.T) {
	if got := must.Get(Of[Exported]()).Fields(); !reflect.DeepEqual(got, []string{"X", "x2"}) {
		t.Errorf("an embedded struct: %v", got)
	}
	v := Exported{inner{1}, 2}
	if got := back(t, v, Exported{}); got != v {
		t.Errorf("%+v", got)
	}
	// A struct with two embedded fields that have forms of their own takes neither.
	type both struct {
		Exported `askback:"ex"`
		netip.Addr
		netip.Prefix
	}
	c := must.Get(Of[both]())
	if got := c.Fields(); !reflect.DeepEqual(got, []string{"ex", "Addr", "Prefix"}) {
		t.Errorf("embedded fields with forms of their own: %v", got)
	}
	b := both{v, netip.MustParseAddr("::1"), netip.MustParsePrefix("10.0.0.0/8")}
	if got := back(t, b, both{}); got != b {
		t.Errorf("%+v", got)
	}
	only := onlyTime{time.Unix(5, 6).UTC()}
	if got := back(t, only, onlyTime{}); !got.Equal(only.Time) {
		t.Errorf("%v", got)
	}
}
