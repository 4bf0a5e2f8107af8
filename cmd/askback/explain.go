package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/view"
)

func explainCommand() *cobra.Command {
	var limit int
	var follow bool
	o := &oneTopology{
		use: "explain [NAME]", optional: true, short: "Show the events of a topology, and how it recovered",
		long: `Explain shows the events of a topology, oldest first. Of each recovery it shows why the task was lost, the set of
message ids that the restored task asked its sources for, how many tuples it had missed and were replayed to it, how many
it processed again, and how long each phase took: until the loss was detected (detect), until the task was started again
(start), until its log was read (load), until it had caught up (replay). Of a failure it shows operator, task, message id,
tuple and cause. It ends with the tuples that were lost, by operator.

Without a name it shows the events of the cluster: supervisors that came and went, and who leads.`,
		example: `  askback explain wordcount
  askback explain wordcount --follow
  askback explain wordcount --json | jq '.events[] | select(.kind == "recovered") | .recovery'`,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&limit, "limit", 1000, "at most this many events, the newest ones")
			cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new events, until Ctrl-C; with --json one event a line")
		},
	}
	o.check = func([]string) error {
		if limit < 1 {
			return fmt.Errorf("--limit %d: want 1 or more", limit)
		}
		return nil
	}
	o.run = func(ctx context.Context, s *session, args []string) error {
		name, of := "", "the cluster"
		if len(args) > 0 {
			name, of = args[0], args[0]
		}
		t := timeline{out: s.out}
		if follow {
			return s.FollowEvents(ctx, name, limit, func(e *cluster.Event) error {
				if s.json {
					line := json.NewEncoder(s.out)
					line.SetEscapeHTML(false)
					return line.Encode(view.OfEvent(e))
				}
				t.write(e)
				return nil
			})
		}
		reply, err := s.Explain(ctx, name, limit)
		if err != nil {
			return err
		}
		return s.print(view.OfEvents(name, reply), func() error {
			if len(reply.Events) == 0 {
				return s.say("no event of %s is known", of)
			}
			for i := range reply.Events {
				t.write(&reply.Events[i])
			}
			if name == "" {
				return nil
			}
			return t.sum(reply)
		})
	}
	return o.command()
}

// A timeline prints events for people.
type timeline struct {
	out io.Writer
	day string

	recoveries                  int
	missed, replayed, processed uint64
	slowest                     float64
}

// indent is where the text of events begins.
const indent = 31

func (t *timeline) write(e *cluster.Event) {
	at := e.At.Local()
	if day := at.Format("Monday, 2 January 2006"); day != t.day {
		t.day = day
		fmt.Fprintln(t.out, day)
	}
	who, text := "", e.Text
	if e.Slot != nil {
		// All of it is about one instance.
		who, text = place(*e.Slot)+"  ", strings.ReplaceAll(text, e.Slot.String(), place(*e.Slot))
		text = strings.TrimPrefix(text, "worker "+place(*e.Slot)+" ")
	}
	if e.Recovery != nil {
		text = fmt.Sprintf("%v, incarnation %d, in %s: %s", e.Recovery.Alias, e.Recovery.Incarnation, ms(e.Recovery.Took), e.Recovery.Cause)
	} else if e.Task != "" {
		who += e.Task + "  "
	}
	fmt.Fprintf(t.out, "%s  %-*s %s\n", at.Format("15:04:05.000"), indent-15, printable(string(e.Kind)), printable(who+text))
	if e.Recovery != nil {
		t.recovery(e.Recovery)
	}
	writeFailure(t.out, strings.Repeat(" ", indent), e.Failure)
}

// recovery prints how a task was restored.
func (t *timeline) recovery(r *cluster.Recovery) {
	line := func(format string, args ...any) {
		fmt.Fprintf(t.out, "%*s%s\n", indent, "", printable(fmt.Sprintf(format, args...)))
	}
	const most = 8
	for i, asked := range strings.Fields(r.Asked) {
		if i == most {
			line("      and of %d channels more; --json has all", len(strings.Fields(r.Asked))-most)
			break
		}
		line("%-5s %s", map[bool]string{true: "asked"}[i == 0], asked)
	}
	sign := "="
	if r.Missed != r.Replayed {
		sign = "but"
	}
	line("missed %s %s replayed %s · reprocessed %s · duplicates dropped %s", grouped(r.Missed), sign, grouped(r.Replayed), grouped(r.Reprocessed), grouped(r.Duplicates))
	line("detect %s · start %s · load %s · replay %s", ms(r.Detect), ms(r.Start), ms(r.Load), ms(r.Replay))
	t.recoveries++
	t.missed += r.Missed
	t.replayed += r.Replayed
	t.processed += r.Reprocessed
	t.slowest = max(t.slowest, r.Took)
}

// sum ends the timeline with the recoveries, the lost tuples and the failure.
func (t *timeline) sum(r *cluster.ExplainReply) error {
	fmt.Fprintln(t.out)
	if f := r.Failure; f != nil {
		fmt.Fprintln(t.out, "failed for good:")
		writeFailure(t.out, "  ", f)
	}
	if lost := lostText(r.Lost); lost != "" {
		fmt.Fprintln(t.out, printable(lost))
	}
	if t.recoveries == 0 {
		_, err := fmt.Fprintln(t.out, "no recovery")
		return err
	}
	times := "once"
	if t.recoveries > 1 {
		times = fmt.Sprintf("%d times", t.recoveries)
	}
	_, err := fmt.Fprintf(t.out, "recovered %s, at most in %s · missed %s, replayed %s, reprocessed %s\n",
		times, ms(t.slowest), grouped(t.missed), grouped(t.replayed), grouped(t.processed))
	return err
}

// ms writes milliseconds.
func ms(x float64) string {
	if x < 10 {
		return fmt.Sprintf("%.1f ms", x)
	}
	return fmt.Sprintf("%.0f ms", x)
}
