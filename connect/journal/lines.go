package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// errNoLines occurs for a body without a JSON value.
var errNoLines = errors.New("there is no JSON line in the body")

// A lineError names the line of a body that is wrong.
type lineError struct {
	line int
	text []byte
	why  string
}

func (e *lineError) Error() string {
	const most = 60
	if len(e.text) > most {
		return fmt.Sprintf("line %d %s: %q…", e.line, e.why, e.text[:most])
	}
	return fmt.Sprintf("line %d %s: %q", e.line, e.why, e.text)
}

// parseLines checks that each line of a body is one JSON value, and returns the body to write: without empty lines and
// the space around values, and without a last line feed. It overwrites the body.
func parseLines(body []byte) (kept []byte, lines int, err error) {
	kept = body[:0]
	number := 0
	for rest := body; len(rest) > 0; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte{'\n'})
		number++
		line = bytes.Trim(line, " \t\r")
		switch {
		case len(line) == 0:
			continue
		case !json.Valid(line):
			return nil, 0, &lineError{number, line, "is not one JSON value"}
		case !utf8.Valid(line): // JSON must be, and encoding/json does not mind
			return nil, 0, &lineError{number, line, "is not UTF-8"}
		}
		if lines > 0 {
			kept = append(kept, '\n') // in the place of an earlier one, so this overtakes nothing
		}
		kept = append(kept, line...)
		lines++
	}
	if lines == 0 {
		return nil, 0, errNoLines
	}
	return kept, lines, nil
}
