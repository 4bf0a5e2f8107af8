package topology

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// String returns the plan as a table for people:
//
//	wordcount  4 operators, 6 tasks, 8 channels, version b8cae6b78fa6e732
//
//	operator  kind   tasks  reads                channels  emits
//	lines     spout  1                                     line
//	split     bolt   2      lines shuffle        2         word
//	count     bolt   2      split group by word  4         word, n
//	top       bolt   1      count global         2
//
// A last column notes unusual settings, such as pessimism.
func (p *Plan) String() string {
	table := [][]string{{"operator", "kind", "tasks", "reads", "channels", "emits", "notes"}}
	noted := false
	for _, o := range p.Operators {
		table = append(table, o.rows()...)
		noted = noted || len(o.notes()) > 0
	}
	if !noted {
		table[0][6] = ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s, %s, %s, version %016x\n\n", p.Name,
		count(len(p.Operators), "operator"), count(len(p.Tasks), "task"), count(len(p.Channels), "channel"), p.Version)
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, row := range table {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	w.Flush()
	lines := strings.Split(b.String(), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// rows returns the operator's part of the table: as many rows as it has inputs, streams or notes.
func (o *Operator) rows() [][]string {
	notes := o.notes()
	rows := make([][]string, max(1, len(o.Inputs), len(o.Streams), len(notes)))
	for i := range rows {
		rows[i] = make([]string, 7)
	}
	rows[0][0], rows[0][1], rows[0][2] = o.Name, o.kind(), fmt.Sprint(o.Parallel)
	for i, e := range o.Inputs {
		rows[i][3], rows[i][4] = e.String(), fmt.Sprint(e.From.Parallel*e.Targets())
	}
	for i, s := range o.Streams {
		rows[i][5] = s.label()
	}
	for i, note := range notes {
		rows[i][6] = note
	}
	return rows
}

func (o *Operator) kind() string {
	if o.Spout != nil {
		return "spout"
	}
	return "bolt"
}

// notes lists the unusual settings of the operator.
func (o *Operator) notes() (notes []string) {
	if o.Pessimism != Optimistic {
		notes = append(notes, o.Pessimism.String())
	}
	if o.Tick > 0 {
		notes = append(notes, "tick every "+o.Tick.String())
	}
	if o.Retry.Times > 0 {
		retry := "retry " + count(o.Retry.Times, "time")
		if o.Retry.Backoff > 0 {
			retry += ", " + o.Retry.Backoff.Round(time.Microsecond).String() + " apart"
		}
		notes = append(notes, retry)
	}
	switch o.OnError {
	case DeadLetter:
		notes = append(notes, "dead letters")
	case Drop:
		notes = append(notes, "drops failed tuples")
	}
	if o.Note != "" {
		notes = append(notes, o.Note)
	}
	if o.CPU > 0 {
		notes = append(notes, fmt.Sprintf("cpu %d %%", o.CPU))
	}
	if o.Memory > 0 {
		notes = append(notes, "memory "+size(o.Memory))
	}
	return notes
}

// label returns the stream's fields, after its name if it has one.
func (s *Stream) label() string {
	if s.Name == "" {
		return s.Fields.String()
	}
	return s.Name + ": " + s.Fields.String()
}

// String returns the subscription in words, such as "split group by word".
func (e *Edge) String() string { return e.Stream.String() + " " + e.grouping() }

// grouping returns the grouping with its key or name.
func (e *Edge) grouping() string {
	words := e.Grouping.String()
	for i, field := range e.Fields {
		if i > 0 {
			words += ","
		}
		words += " " + e.Stream.Fields.Names()[field]
	}
	if e.Grouping == Custom {
		words += " " + e.Name
	}
	return words
}

// Graphviz returns the plan as a graph in the DOT language: a node for each operator, an edge for each
// subscription.
func (p *Plan) Graphviz() string {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n\trankdir=LR\n", p.Name)
	for _, o := range p.Operators {
		shape := "box"
		if o.Spout != nil {
			shape = "house"
		}
		label := o.Name
		if o.Parallel > 1 {
			label += fmt.Sprintf(" × %d", o.Parallel)
		}
		for _, note := range o.notes() {
			label += `\n` + note
		}
		fmt.Fprintf(&b, "\t\"%s\" [shape=%s label=\"%s\"]\n", o.Name, shape, label)
	}
	for _, o := range p.Operators {
		for _, e := range o.Inputs {
			fmt.Fprintf(&b, "\t\"%s\" -> \"%s\" [label=\"%s\\n%s\"]\n", e.From.Name, o.Name, e.Stream.label(), e.grouping())
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// count returns "1 task", "2 tasks".
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprint(n, " ", noun, "s")
}

// size returns bytes in the largest unit of which they are at least one.
func size(bytes int64) string {
	n, units := float64(bytes), []string{"B", "KiB", "MiB", "GiB", "TiB"}
	for n >= 1024 && len(units) > 1 {
		n, units = n/1024, units[1:]
	}
	return strconv.FormatFloat(math.Round(10*n)/10, 'f', -1, 64) + " " + units[0]
}
