package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/view"
	"github.com/askback/askback/msgid"
)

func listCommand() *cobra.Command {
	var c clientFlags
	cmd := &cobra.Command{
		Use: "list", Short: "Show topologies and supervisors", GroupID: groupTopologies, Args: exactly(0),
		Long: `List shows all topologies, how many of their tasks are well, how many tuples they have lost (given to dead letters, or
dropped as the program declares), and the supervisors that have joined.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := c.dial(cmd)
			if err != nil {
				return err
			}
			defer s.Close()
			list, err := s.List(cmd.Context())
			if err != nil {
				return remedy(err, c.timeout)
			}
			return s.print(view.OfList(list), func() error { return writeList(s, list) })
		},
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	c.bind(cmd)
	return cmd
}

func writeList(s *session, list *cluster.ListReply) error {
	var rows [][]string
	for _, t := range list.Topologies {
		var notes []string
		if t.Reason != "" {
			notes = append(notes, t.Reason)
		}
		if lost := lostText(t.Lost); lost != "" {
			notes = append(notes, lost)
		}
		if t.Shortage != "" {
			notes = append(notes, "short: "+t.Shortage)
		}
		well := fmt.Sprintf("%d of %d", t.Healthy, t.Tasks)
		if t.Status == cluster.Completed {
			well = "all done"
		}
		dead, dropped := cluster.SumLost(t.Lost)
		rows = append(rows, []string{t.Name, string(t.Status), fmt.Sprint(t.Workers), well, grouped(dead), grouped(dropped), ago(t.Submitted), strings.Join(notes, " · ")})
	}
	if len(rows) == 0 {
		fmt.Fprintln(s.out, "no topology runs; \"askback submit\" submits one")
	} else if err := writeTable(s.out, []string{"TOPOLOGY", "STATUS", "WORKERS", "TASKS WELL", "DEAD", "DROPPED", "SUBMITTED", ""}, rows); err != nil {
		return err
	}
	rows = nil
	for _, h := range list.Hosts {
		rows = append(rows, []string{
			h.Host.Name, h.State, fmt.Sprintf("%d of %d", h.Used, h.Host.Slots), size(h.Host.Memory), ago(h.LastHeartbeat), strings.Join(h.Host.Tags, ","),
		})
	}
	fmt.Fprintln(s.out)
	if len(rows) == 0 {
		fmt.Fprintln(s.out, "no supervisor has joined, so nothing can run; start one (see \"supervisor --help\")")
	} else if err := writeTable(s.out, []string{"SUPERVISOR", "STATE", "SLOTS USED", "MEMORY", "HEARD", "TAGS"}, rows); err != nil {
		return err
	}
	fmt.Fprintln(s.out)
	return s.say("nimbus %s leads, epoch %d", list.Leader, list.Epoch)
}

func describeCommand() *cobra.Command {
	o := &oneTopology{
		use: "describe NAME", short: "Show a topology's workers and tasks",
		long: `Describe shows the state of each worker and task of a topology: where it runs, its incarnation, how many tuples it has
consumed, emitted, replayed and lost, and on which channel it is blocked. Of a failed topology it shows the error: operator,
task, message id, tuple and cause.`,
	}
	o.run = func(ctx context.Context, s *session, args []string) error {
		d, err := s.Describe(ctx, args[0])
		if err != nil {
			return err
		}
		return s.print(view.OfDescription(d), func() error { return writeDescription(s, d) })
	}
	return o.command()
}

func writeDescription(s *session, d *cluster.Description) error {
	r := &d.Record
	what := fmt.Sprintf("%s is %s since %s", r.Instance, r.Status, r.Since.Local().Format("2006-01-02 15:04:05"))
	if r.Reason != "" {
		what += ": " + r.Reason
	}
	_ = s.say("%s", what)
	_ = s.say("%s with strategy %s · durability %s · plan %s · program %.12s (%s)",
		plural(len(r.Spec.Tasks()), "task"), r.Spec.Strategy, r.Durability, view.PlanID(r.Spec.Plan), r.Artefact.SHA256, size(r.Artefact.Size))
	writeFailure(s.out, "", r.Failure)
	if lost := lostText(d.Lost); lost != "" {
		_ = s.say("%s", lost)
	}
	if r.Shortage != "" {
		_ = s.say("short: %s", r.Shortage)
	}
	var workers, tasks [][]string
	for _, w := range d.Workers {
		workers = append(workers, workerRow(&w))
		tasks = append(tasks, taskRows(&w)...)
	}
	slices.SortFunc(tasks, func(a, b []string) int {
		x, _ := msgid.ParseAlias(a[0])
		y, _ := msgid.ParseAlias(b[0])
		return x.Compare(y)
	})
	fmt.Fprintln(s.out)
	if err := writeTable(s.out, []string{"WORKER", "STATE", "HEARD", "PID", "TASKS", "MEMORY", "RESTARTS", "LIMITS", ""}, workers); err != nil {
		return err
	}
	fmt.Fprintln(s.out)
	return writeTable(s.out, []string{"TASK", "WORKER", "STATE", "INCARNATION", "CONSUMED", "EMITTED", "MISSED", "REPLAYED", "DEAD", "DROPPED", "RETAINED", ""}, tasks)
}

func place(s cluster.WorkerSlot) string { return fmt.Sprintf("%s/%d", s.Supervisor, s.Number) }

func workerRow(w *cluster.WorkerStatus) []string {
	row := []string{place(w.Slot), w.State, ago(w.LastHeartbeat), "", fmt.Sprint(len(w.Tasks)), "", "", "", ""}
	if p := w.Process; p != nil {
		row[3], row[6], row[7], row[8] = number(p.PID), fmt.Sprint(p.Restarts), p.Limits, p.Error
	}
	if b := w.Heartbeat; b != nil {
		row[3], row[5] = number(b.PID), size(b.Memory)
	}
	return row
}

// taskRows are the rows of a worker's tasks. Tasks without a heartbeat are unknown.
func taskRows(w *cluster.WorkerStatus) (rows [][]string) {
	statuses := map[msgid.Alias]*cluster.Task{}
	if w.Heartbeat != nil {
		for i := range w.Heartbeat.Tasks {
			statuses[w.Heartbeat.Tasks[i].Alias] = &w.Heartbeat.Tasks[i]
		}
	}
	for _, alias := range w.Tasks {
		t := statuses[alias]
		if t == nil {
			rows = append(rows, []string{alias.String(), place(w.Slot), "unknown", "", "", "", "", "", "", "", "", "no heartbeat yet"})
			continue
		}
		c := &t.Counters
		rows = append(rows, []string{
			alias.String(), place(w.Slot), string(t.State), fmt.Sprint(t.Incarnation), grouped(c.Consumed), grouped(c.Emitted),
			grouped(c.Missed), grouped(c.Replayed), grouped(t.Dead), grouped(t.Dropped), size(int64(t.Retained)), taskNote(t),
		})
	}
	return rows
}

func taskNote(t *cluster.Task) string {
	var notes []string
	if t.Total > 0 {
		notes = append(notes, fmt.Sprintf("%.0f %% read", 100*float64(t.Done)/float64(t.Total)))
	}
	if t.Blocked != "" {
		notes = append(notes, "no credit on "+t.Blocked)
	}
	if t.LogError != "" {
		notes = append(notes, "CHECKPOINT_FAILING: "+t.LogError)
	}
	if t.Error != "" {
		notes = append(notes, "failed last by: "+t.Error)
	}
	return strings.Join(notes, " · ")
}

// lostText names the operators that have lost tuples, "" if none has.
func lostText(all []cluster.LostTuples) string {
	var parts []string
	for _, l := range all {
		parts = append(parts, fmt.Sprintf("%s %s dead and %s dropped", l.Operator, grouped(l.Dead), grouped(l.Dropped)))
	}
	if len(parts) == 0 {
		return ""
	}
	return "lost tuples: " + strings.Join(parts, ", ")
}

// writeFailure prints the error of a task that has failed for good.
func writeFailure(w io.Writer, indent string, f *cluster.Failure) {
	if f == nil {
		return
	}
	line := func(label, text string) {
		if text != "" {
			fmt.Fprintf(w, "%s%-9s %s\n", indent, label, printable(text))
		}
	}
	line("operator", f.Task.Operator)
	line("step", f.Step)
	line("task", f.Task.String())
	line("message", f.MessageID)
	line("tuple", f.Tuple)
	for i, text := range strings.Split(strings.TrimSpace(f.Cause), "\n") {
		line(map[bool]string{true: "cause"}[i == 0], text)
	}
}
