package recovery_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/msgid"
)

// TestCountersAdd: no counter is forgotten when one is added to the struct.
func TestCountersAdd(t *testing.T) {
	var a, b recovery.Counters
	va, vb := reflect.ValueOf(&a).Elem(), reflect.ValueOf(&b).Elem()
	for k := range va.NumField() {
		va.Field(k).SetUint(uint64(k + 1))
		vb.Field(k).SetUint(uint64(100 * (k + 1)))
	}
	a.Add(b)
	for k := range va.NumField() {
		if got := va.Field(k).Uint(); got != uint64(101*(k+1)) {
			t.Errorf("%s is %d after adding, want %d", va.Type().Field(k).Name, got, 101*(k+1))
		}
	}
}

func TestDefaulted(t *testing.T) {
	all := reflect.ValueOf(recovery.Config{}.Defaulted())
	for _, name := range []string{"Window", "SoftBound", "HardBound", "SnapshotEvery", "RetryEvery", "RetryMax", "MarkEvery", "MarkMax"} {
		if all.FieldByName(name).IsZero() {
			t.Errorf("%s has no default", name)
		}
	}
	c := recovery.Config{Window: 1, MarkEvery: 7}.Defaulted()
	if c.Window != 1 || c.MarkEvery != 7 {
		t.Errorf("the values that were set are %d and %d now", c.Window, c.MarkEvery)
	}
}

// TestResetForgets: a list of actions that is used again must not keep frames alive.
func TestResetForgets(t *testing.T) {
	var do recovery.Actions
	do.Add(recovery.Action{Data: []byte("x"), Err: errors.New("x")})
	list := do.List
	do.Reset()
	if len(do.List) != 0 || list[0].Data != nil || list[0].Err != nil {
		t.Errorf("%+v is left of it", list[0])
	}
}

// TestErrors: an error names the tasks and the remedy.
func TestErrors(t *testing.T) {
	c := msgid.Channel{Source: msgid.Alias{Operator: "split", Index: 1}, Target: msgid.Alias{Operator: "count", Index: 3}}
	for _, x := range []struct {
		err  error
		want []string
	}{
		{&recovery.DivergedError{ID: msgid.ID{Channel: c, Seq: 42}, Want: 0xab, Got: 0xcd},
			[]string{`"split"`, "split.1>count.3#42", "000000ab", "000000cd", "declare"}},
		{&recovery.ReplayError{Alias: c.Source, What: "it slept"}, []string{`"split"`, "split.1", "it slept", "declare"}},
		{&recovery.WentBackError{Channel: c, Restored: 17, Stable: 42}, []string{"count.3", "#17", "#42", "bring back"}},
	} {
		for _, part := range x.want {
			if !strings.Contains(x.err.Error(), part) {
				t.Errorf("%q does not contain %q", x.err, part)
			}
		}
	}
}

// A reason is valid UTF-8, no longer than MaxReason, begins as the text does, and is a reason already.
func TestReason(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := strings.Repeat(string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes")), rapid.IntRange(0, 100).Draw(t, "times")) +
			strings.Repeat(rapid.String().Draw(t, "text"), rapid.IntRange(0, 1100).Draw(t, "times again"))
		got := recovery.Reason(text)
		valid := strings.ToValidUTF8(text, "\ufffd")
		switch {
		case !utf8.ValidString(got) || len(got) > recovery.MaxReason || !strings.HasPrefix(valid, got):
			t.Fatalf("the reason of %q is %q", text, got)
		case len(got) < len(valid) && len(got) <= recovery.MaxReason-utf8.UTFMax:
			t.Fatalf("%d bytes are cut off, though only %d are left", len(valid)-len(got), len(got))
		case recovery.Reason(got) != got:
			t.Fatalf("%q is shortened again", got)
		}
	})
}
