package cli

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

const aboutRun = `Runs until its input has ended, on a NATS server in this process or on a given one. With the strategy backtrack, the
default, a task that fails is restored alone and asks its sources for exactly the tuples that it missed. With --dir, or
with --server and --keep, the whole program resumes: after a kill -9, the same command goes on where it was.
`

// examples are arguments of a program, and what they do.
var examples = [][2]string{
	{"--plan", "the operators, tasks and channels"},
	{"--dot | dot -Tsvg > plan.svg", "the same as a picture"},
	{"--dir store", "resumes after a crash"},
	{"--server nats://127.0.0.1:4222 --keep", "the same, on a server of your own"},
	{"--kill 5", "kill five tasks on the way, and watch"},
	{"submit --workers 2", "run it on a cluster; see submit --help"},
}

// help prints what the program does and which flags it has.
func (p *Program) help(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n  %s\n\n", p.usage("[flags]"), p.submitUsage())
	if p.About != "" {
		fmt.Fprintf(&b, "%s\n\n", strings.TrimRight(p.About, "\n"))
	}
	b.WriteString(aboutRun)
	if own := p.own(); count(own) > 0 {
		fmt.Fprintf(&b, "\nFlags of %s:\n", p.Name)
		list(&b, own)
	}
	b.WriteString("\nFlags of every topology program:\n")
	list(&b, (&line{}).ours())
	b.WriteString("\nExamples:\n")
	for _, e := range examples {
		fmt.Fprintf(&b, "  %s %-39s %s\n", p.Name, e[0], e[1])
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// usage returns a line that shows how the program is called.
func (p *Program) usage(flags string) string {
	return strings.TrimSpace(p.Name + " " + flags + " " + p.Args)
}

func (p *Program) submitUsage() string {
	own := p.Args
	if own == "" && p.Flags == nil {
		own = "--strategy name"
	} else if p.Flags != nil {
		own = strings.TrimSpace("[flags] " + own)
	}
	return fmt.Sprintf("%s submit [flags] [-- %s]", p.Name, own)
}

func count(f *flag.FlagSet) (n int) {
	f.VisitAll(func(*flag.Flag) { n++ })
	return n
}

// width is where the text about a flag begins, and where it is broken.
const (
	indent = 24
	width  = 118
)

// list prints flags, a few lines each.
func list(b *strings.Builder, f *flag.FlagSet) {
	f.VisitAll(func(f *flag.Flag) {
		value, about := flag.UnquoteUsage(f)
		head := "  --" + f.Name
		if value != "" {
			head += " " + value
		}
		if d := f.DefValue; d != "" && d != "0" && d != "false" && d != "0s" && !strings.Contains(about, "(default") {
			about += " (default " + d + ")"
		}
		line := fmt.Sprintf("%-*s", indent, head)
		if len(line) > indent {
			b.WriteString(line + "\n")
			line = strings.Repeat(" ", indent)
		}
		for word := range strings.FieldsSeq(about) {
			if len(line)+1+len(word) > width {
				b.WriteString(strings.TrimRight(line, " ") + "\n")
				line = strings.Repeat(" ", indent)
			}
			if !strings.HasSuffix(line, " ") {
				line += " "
			}
			line += word
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	})
}
