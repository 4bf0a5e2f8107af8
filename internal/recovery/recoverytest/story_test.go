package recoverytest

import (
	"errors"
	"strings"
	"testing"

	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/recovery/backtrack"
)

// commands is a story without the actions of its tasks. Its expectations hold.
const commands = `# b is restored, and asks back.
set SnapshotEvery=1000000
tasks a>b b>c
emit a 1..2 3
deliver
expect b consumed a1 a2 a3
crash b
restart b
deliver
expect b counters Missed=3
expect b recovery Missed=3 Replayed=3
expect c not-done
poison b a4
emit a 4..5
deliver
expect b given-up a4
end a
settle
expect c done
expect c consumed a1 a2 a3 a5
`

// A story fails if an expectation of it is wrong, or names no value, and if any action of the tasks differs from the text,
// is missing, or is not in the text. A story whose run equals its text does not.
func TestStoriesThatFail(t *testing.T) {
	s := Stories{Factory: backtrack.New}
	text := s.play(t, commands)
	s.check(t, text)
	if !s.same(text) {
		t.Fatalf("a story that is as it is written fails:\n%s", text)
	}
	lines := strings.SplitAfter(text, "\n")
	with := func(n int, line string) string {
		return strings.Join(lines[:n], "") + line + strings.Join(lines[n+1:], "")
	}
	actions := 0
	for n, line := range lines {
		if !strings.HasPrefix(line, "\t") {
			continue
		}
		actions++
		for what, changed := range map[string]string{
			"is left out": "", "is there twice": line + line, "is another": strings.Replace(line, "\t", "\tx", 1),
			"has other letters": line[:len(line)-2] + "~\n",
		} {
			if s.same(with(n, changed)) {
				t.Errorf("a story in which action %q %s does not fail", strings.TrimSpace(line), what)
			}
		}
	}
	if actions < 10 {
		t.Errorf("the story has %d actions only:\n%s", actions, text)
	}
	for right, wrong := range map[string][]string{
		"expect b consumed a1 a2 a3\n": {
			"expect b consumed a1 a2", "expect b consumed", "expect b consumed a1 a2 a3 a4", "expect b consumed a1 a3 a2", "expect b consumed a1 a2 a4",
			"expect b given-up a1 a2 a3", "expect b failed", "expect b done", "expect nobody consumed a1 a2 a3", "expect b eaten a1 a2 a3",
		},
		"expect b counters Missed=3\n": {
			"expect b counters Missed=2", "expect b counters Nonsense=3", "expect b counters Missed", "expect b recovery Missed=2", "expect b status Missed=3",
		},
		"expect c not-done\n":         {"expect c done", "expect c failed"},
		"expect b given-up a4\n":      {"expect b given-up", "expect b given-up a5", "expect b consumed a4"},
		"expect c done\n":             {"expect c not-done", "expect c failed", "expect a not-done"},
		"poison b a4\n":               {"poison c a4", "poison b a5", "poisons b a4"},
		"set SnapshotEvery=1000000\n": {"set SnapshotsEvery=1", "set SnapshotEvery=often"},
	} {
		if strings.Count(text, right) != 1 {
			t.Fatalf("%q is not in the story once", right)
		}
		for _, w := range wrong {
			if s.same(strings.Replace(text, right, w+"\n", 1)) {
				t.Errorf("a story with %q in place of %q does not fail", w, strings.TrimSpace(right))
			}
		}
	}
	s.Factory = func(recovery.Config, recovery.History) (recovery.Machine, error) {
		return nil, errors.New("no machine")
	}
	if s.same(text) {
		t.Error("a story without machines does not fail")
	}
}
