package files

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/internal/must"
	"github.com/askback/askback/tuple"
)

type (
	level string
	inner struct {
		Code int8
		skip int
	}
	every struct {
		Text  []byte
		Name  string
		Level level
		inner
		N    int
		U    uint16
		X    float64
		Y    float32
		OK   bool
		When time.Time
		From netip.Addr
	}
	place  struct{ Lat, Lon float64 }
	nested struct {
		Name  string
		Where place
	}
)

// The default line of each type that has one.
func TestTabbed(t *testing.T) {
	v := every{
		Text: []byte("a\xff"), Name: "b", Level: "warn", inner: inner{-3, 1}, N: -4, U: 5, X: 1e6, Y: 0.1, OK: true,
		When: time.Date(2026, 9, 21, 16, 13, 0, 0, time.FixedZone("", 7200)), From: netip.MustParseAddr("10.0.0.1"),
	}
	wantLine(t, v, "a\xff\tb\twarn\t-3\t-4\t5\t1000000\t0.1\ttrue\t2026-09-21T14:13:00Z\t10.0.0.1")
	wantLine(t, []byte("raw"), "raw")
	wantLine(t, "raw", "raw")
	wantLine(t, level("raw"), "raw")
	wantLine(t, 7, "7")
	wantLine(t, 1e-7, "1e-07")
	wantLine(t, v.When, "2026-09-21T14:13:00Z")
}

func wantLine[T any](t *testing.T, v T, want string) {
	t.Helper()
	f, err := formatterOf[T](&options{})
	must.Do(t, err)
	if got, err := f([]byte("> "), v); string(got) != "> "+want || err != nil {
		t.Errorf("%T is written as %q (%v), want %q", v, got, err, want)
	}
}

func TestFormatAllocatesNothing(t *testing.T) {
	type row struct {
		Text []byte
		Name string
		N    int64
		X    float64
		OK   bool
		When time.Time
	}
	s := Sink[row](filepath.Join(t.TempDir(), "out")).New().(*writer[row])
	defer s.Close()
	must.Do(t, s.Prepare(taskContext(0, 1, 1)))
	v := row{[]byte("text"), "name", 1 << 40, 2.5, true, time.Now()}
	if n := testing.AllocsPerRun(1000, func() {
		must.Do(t, s.Write(context.Background(), v))
	}); n > 0 {
		t.Errorf("%v allocations for a value", n)
	}
}

// A type that has no line is refused before anything is written, and the error names the type, the field and the remedy.
func TestUnformattable(t *testing.T) {
	type deep struct {
		Name string
		More struct{ List []int }
	}
	refused(t, Sink[nested]("x"), "files.nested cannot be written as a line of text: field Where of type files.place has no text form: give the sink files.JSON or files.Format")
	refused(t, Sink[deep]("x"), "field More of type struct { List []int } has no text form")
	refused(t, Sink[map[string]int]("x"), "map[string]int cannot be written as a line of text: it has no text form")
	refused(t, Sink[struct{ P *int }]("x"), "field P of type *int has no text form")
	refused(t, Sink[struct{ p int }]("x"), "it has no exported field")
	refused(t, Sink[struct{ C chan int }]("x", JSON()), "cannot be written as JSON: field C of type chan int has no JSON form")
	refused(t, Sink[level]("x", Format(func(dst []byte, t tuple.Tuple) []byte { return dst })),
		"Format was given a func([]uint8, tuple.Tuple) []uint8, and the values of this sink are of type files.level")
	err := Bolt("x", Format(func(dst []byte, n int) []byte { return dst }))().(bolt.Preparer).Prepare(taskContext(0, 1, 1))
	if err == nil || !strings.Contains(err.Error(), "the values of this sink are of type tuple.Tuple") {
		t.Errorf("a format of another type: error %v", err)
	}
}

func refused[T any](t *testing.T, s interface{ New() T }, says string) {
	t.Helper()
	w := any(s.New()).(interface {
		bolt.Preparer
		bolt.Verifier
	})
	for _, err := range []error{w.Prepare(taskContext(0, 1, 1)), w.Verify(bolt.Strategy{Name: "backtrack", Snapshots: true})} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v, want one with %s", err, says)
		}
	}
}

func TestTypedFormats(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	for want, opt := range map[string]Option{
		`{"Name":"<a>","Where":{"Lat":1,"Lon":2.5}}` + "\n": JSON(),
		"<a>!\n": Format(func(dst []byte, v nested) []byte { return append(append(dst, v.Name...), '!') }),
	} {
		s := Sink[nested](path, Single(), opt).New().(*writer[nested])
		must.Do(t, s.Prepare(bolttest.NewContext("out", 0, 1)))
		must.Do(t, s.Write(context.Background(), nested{"<a>", place{1, 2.5}}))
		must.Do(t, s.Finish(context.Background(), nil))
		_, err := s.Snapshot()
		must.Do(t, errors.Join(err, s.Commit()))
		if b, err := os.ReadFile(path); string(b) != want || err != nil {
			t.Errorf("the file has %q (%v), want %q", b, err, want)
		}
	}
}

// As JSON a []byte is base64, be it text or not, and reads back as it was; a string is text. In a tuple both are text.
func TestJSONBytes(t *testing.T) {
	type entry struct {
		Key  []byte
		Name string
	}
	f, err := formatterOf[entry](&options{json: true})
	must.Do(t, err)
	for want, v := range map[string]entry{
		`{"Key":"dGV4dA==","Name":"text"}`: {[]byte("text"), "text"},
		`{"Key":"AP8=","Name":"\ufffd"}`:   {[]byte("\x00\xff"), "\xff"},
		`{"Key":"","Name":"<é>"}`:          {[]byte{}, "<é>"},
		`{"Key":null,"Name":"\"\n"}`:       {nil, "\"\n"},
	} {
		line, err := f(nil, v)
		must.Do(t, err)
		if string(line) != want {
			t.Errorf("%q is written as %s, want %s", v, line, want)
		}
		var back entry
		if err := json.Unmarshal(line, &back); err != nil || !bytes.Equal(back.Key, v.Key) {
			t.Errorf("%s reads back as %q, %v", line, back.Key, err)
		}
	}
	rows, err := tupleFormatter(&options{json: true})
	must.Do(t, err)
	line, err := rows(nil, bolttest.MustTuple("b s x", []byte("text"), "text", []byte("a\xff")))
	if want := `{"b":"text","s":"text","x":"a\ufffd"}`; string(line) != want || err != nil {
		t.Errorf("a tuple is written as %s, %v, want %s", line, err, want)
	}
}

// Without snapshots nothing would ever be published, so that such a strategy is refused when the topology is built.
func TestVerify(t *testing.T) {
	for name, v := range map[string]bolt.Verifier{
		"typed": Sink[string]("x").New().(bolt.Verifier),
		"rows":  Bolt("x")().(bolt.Verifier),
	} {
		if err := v.Verify(bolt.Strategy{Name: "backtrack", Snapshots: true}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := v.Verify(bolt.Strategy{Name: "none"}); err == nil || !strings.Contains(err.Error(), `strategy "none" takes none`) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
