package msgid

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestTextForms(t *testing.T) {
	long := strings.Repeat("x", MaxName)
	for _, text := range []string{"a.0", "count.3", "a-b_C9.12345", long + ".0", "a.9223372036854775807"} {
		if a, err := ParseAlias(text); err != nil || a.String() != text {
			t.Errorf("ParseAlias(%q) = %v, %v", text, a, err)
		}
	}
	for _, text := range []string{"", ".", "a", "a.", ".1", "a.-1", "a.+1", "a.01", "a.1.2", "a b.1", "a.1 ", long + "x.1", "a.9223372036854775808", "é.1", "a>.1"} {
		if a, err := ParseAlias(text); err == nil {
			t.Errorf("ParseAlias(%q) = %v, want an error", text, a)
		}
	}
	for _, text := range []string{"split.1>count.3", "split.1:errors>count.3", long + ".0:" + long + ">" + long + ".0"} {
		c, err := ParseChannel(text)
		if err != nil || c.String() != text {
			t.Errorf("ParseChannel(%q) = %v, %v", text, c, err)
		}
		if id, err := ParseID(text + "#42"); err != nil || id != (ID{c, 42}) || id.String() != text+"#42" {
			t.Errorf("ParseID(%q) = %v, %v", text+"#42", id, err)
		}
	}
	for _, text := range []string{"", ">", "a.1", "a.1>", ">a.1", "a.1>b.2>c.3", "a.1:>b.2", "a.1:x y>b.2", "a.1:x:y>b.2", "a.1>b.2:x", "a.1 >b.2"} {
		if c, err := ParseChannel(text); err == nil {
			t.Errorf("ParseChannel(%q) = %v, want an error", text, c)
		}
	}
	for _, text := range []string{"", "a.1>b.2", "a.1>b.2#", "#1", "a.1>b.2#0", "a.1>b.2#01", "a.1>b.2#+1", "a.1>b.2#1-2", "a.1>b.2#18446744073709551616", "a.1>b.2#1#2"} {
		if id, err := ParseID(text); err == nil {
			t.Errorf("ParseID(%q) = %v, want an error", text, id)
		}
	}
}

// An error repeats at most a part of what it rejects: it may come from the network.
func TestErrorsAreShort(t *testing.T) {
	text := strings.Repeat("\x00", 1<<16)
	for _, f := range []func(string) error{
		func(s string) error { _, err := ParseAlias(s); return err },
		func(s string) error { _, err := ParseChannel(s); return err },
		func(s string) error { _, err := ParseID(s); return err },
		func(s string) error { _, err := ParseRanges(s); return err },
		func(s string) error { _, err := ParseSet(s); return err },
	} {
		if err := f(text); err == nil || len(err.Error()) > 2000 {
			t.Errorf("want a short error, got %.100v", err)
		}
	}
}

func TestCompare(t *testing.T) {
	rising := []string{"a.1>b.1", "a.1>b.2", "a.1>c.0", "a.1:x>b.1", "a.2>b.1", "a.10>b.1", "ab.0>b.1"}
	for i, x := range rising {
		for j, y := range rising {
			a, _ := ParseChannel(x)
			b, _ := ParseChannel(y)
			want := 0
			if i < j {
				want = -1
			} else if i > j {
				want = 1
			}
			if got := a.Compare(b); got != want {
				t.Errorf("%s compared with %s = %d, want %d", x, y, got, want)
			}
		}
	}
}

func TestAliasInJSON(t *testing.T) {
	type message struct {
		Zero, One Alias
		By        map[Alias]int
	}
	m := message{One: Alias{"count", 3}, By: map[Alias]int{{"split", 0}: 7}}
	text, err := json.Marshal(m)
	if want := `{"Zero":"","One":"count.3","By":{"split.0":7}}`; err != nil || string(text) != want {
		t.Errorf("%s, %v, want %s", text, err, want)
	}
	var back message
	if err := json.Unmarshal(text, &back); err != nil || !reflect.DeepEqual(back, m) {
		t.Errorf("%+v, %v, want %+v", back, err, m)
	}
	if err := json.Unmarshal([]byte(`{"One":"count"}`), &back); err == nil {
		t.Error("an invalid alias is accepted")
	}
}
