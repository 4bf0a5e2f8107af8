package stream

import (
	"strings"
	"testing"

	"github.com/askback/askback/msgid"
)

// Two states of a task never share a name, whatever steps and states are called, and every name is valid.
func TestMapNames(t *testing.T) {
	long := strings.Repeat("n", msgid.MaxName)
	names := []string{"a", "b", "-", "--", "---", "a-", "-a", "--a", "a--", "a--b", "a-b", "b--a", "a--b--a", long, long[1:], long[2:] + "-"}
	seen := map[string][2]string{}
	for _, step := range names {
		for _, name := range names {
			full := mapName(step, name)
			if !msgid.ValidName(full) {
				t.Errorf("%s of step %s: %q is no name", name, step, full)
			}
			if other, ok := seen[full]; ok {
				t.Errorf("%s of step %s and %s of step %s are both %q", name, step, other[1], other[0], full)
			}
			seen[full] = [2]string{step, name}
		}
	}
	if got := mapName("count", "totals"); got != "count--totals" {
		t.Errorf("got %q", got)
	}
}
