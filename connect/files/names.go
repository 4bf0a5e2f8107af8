package files

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
)

// fileNames makes and reads the names of one task's files.
type fileNames struct {
	single       bool
	finalPrefix  string
	stagedPrefix string // always has the alias, so that no task takes another's for its own
	incarnation  msgid.Incarnation
}

func namesOf(base string, task bolt.Task, single bool) fileNames {
	n := fileNames{single: single, finalPrefix: base, incarnation: task.Incarnation}
	n.stagedPrefix = base + "." + task.Alias.String() + "."
	if task.Parallel > 1 {
		n.finalPrefix = base + "." + task.Alias.String()
	}
	if !single {
		n.finalPrefix += "."
	}
	return n
}

// final returns the name of a part, "words.00000001".
func (n fileNames) final(part int) string {
	if n.single {
		return n.finalPrefix
	}
	return fmt.Sprintf("%s%08d", n.finalPrefix, part)
}

// parseFinal reads the number of a part. A single file has none: it may be replaced.
func (n fileNames) parseFinal(name string) (part int, ok bool) {
	digits, ok := strings.CutPrefix(name, n.finalPrefix)
	if !ok || n.single {
		return 0, false
	}
	part, err := strconv.Atoi(digits)
	return part, err == nil && n.final(part) == name
}

// staged returns a name that was never used, "words.sink.0.00000001.3-K7QX2LBA.tmp": part 1, incarnation 3.
func (n fileNames) staged(part int) string {
	return fmt.Sprintf("%s%08d.%d-%s.tmp", n.stagedPrefix, part, n.incarnation, rand.Text()[:8])
}

// parseStaged reads such a name.
func (n fileNames) parseStaged(name string) (part int, incarnation msgid.Incarnation, ok bool) {
	rest, ok := strings.CutPrefix(name, n.stagedPrefix)
	if !ok {
		return 0, 0, false
	}
	number, rest, _ := strings.Cut(rest, ".")
	middle, ok := strings.CutSuffix(rest, ".tmp")
	start, random, dashed := strings.Cut(middle, "-")
	part, err := strconv.Atoi(number)
	inc, err2 := strconv.ParseUint(start, 10, 32)
	ok = ok && dashed && err == nil && err2 == nil && msgid.ValidName(random)
	return part, msgid.Incarnation(inc), ok
}
