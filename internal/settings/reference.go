package settings

import (
	"fmt"
	"io"
	"strings"
)

// Reference writes the table in Markdown.
func (t *Table) Reference(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "## %s\n\n| setting | unit | default | |\n|---|---|---|---|\n", t.program)
	for _, s := range t.all {
		value := t.Default(s)
		switch {
		case value == "":
			value = "none"
		case s.Otherwise == "":
			value = "`" + value + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", s.Name, cell(s.Unit), cell(value), cell(s.About))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// Explained describes, in a help text, where else than by flags settings are made.
func Explained(program string) string {
	return `Each flag can also be given in the environment (--stop-wait 5s is ASKBACK_STOP_WAIT=5s), and in a YAML file that
--config names (stop-wait: 5s). A flag wins over the environment, and that over the file. "askback settings ` + program + `"
prints all of them with their units.`
}
