package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"
)

// FuzzLines compares parseLines with a dumb twin.
func FuzzLines(f *testing.F) {
	for _, s := range []string{"", "1", "1\n2\n", "{}\r\n\r\n[1]", " 1 \n\t2", "1 2", "\"\xff\"", "{\"a\":\n1}", "\n\n\n", "\ufeff1", "\x00", "1\r2"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var want [][]byte
		wrong := 0
		for i, line := range bytes.Split(bytes.Clone(body), []byte("\n")) {
			line = bytes.Trim(line, " \t\r")
			if len(line) == 0 {
				continue
			}
			if !json.Valid(line) || !utf8.Valid(line) {
				wrong = i + 1
				break
			}
			want = append(want, line)
		}
		kept, n, err := parseLines(body)
		var bad *lineError
		switch {
		case wrong > 0:
			if !errors.As(err, &bad) || bad.line != wrong || err.Error() == "" {
				t.Fatalf("%v, want line %d to be wrong", err, wrong)
			}
		case len(want) == 0:
			if !errors.Is(err, errNoLines) {
				t.Fatal(err)
			}
		case err != nil || n != len(want) || !bytes.Equal(kept, bytes.Join(want, []byte("\n"))):
			t.Fatalf("%q, %d lines, %v; want %q", kept, n, err, want)
		}
	})
}
