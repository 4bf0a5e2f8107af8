package backtrack

import (
	"fmt"
	"strings"

	"github.com/askback/askback/internal/recovery"
)

var entryNames = map[entryKind]string{
	timer: "timer", kindOf(recovery.DeterminantTime): "time", kindOf(recovery.DeterminantRand): "chance",
	kindOf(recovery.DeterminantLocal): "local",
}

// describeDeterminants formats the entries of a determinant record: "#1: input 0 × 3, #2: timer 250".
func describeDeterminants(record []byte) string {
	first, entries, err := decodeDeterminants(record, 1<<20)
	if err != nil {
		return err.Error()
	}
	var text []string
	for k, e := range entries {
		what := fmt.Sprintf("%s %d", entryNames[e.kind], e.value)
		switch e.kind {
		case turn:
			what = fmt.Sprintf("input %d × %d", e.input, e.value)
		case givenUpKind:
			what = fmt.Sprintf("#%d of input %d is given up: %s", e.value, e.input, e.reason)
		}
		text = append(text, fmt.Sprintf("#%d: %s", first+uint64(k), what))
	}
	return strings.Join(text, ", ")
}
