package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
)

func explainCommand() *cobra.Command {
	var limit int
	var follow bool
	o := &oneTopology{
		use: "explain [NAME]", optional: true, short: "Tell what happened to a topology, and how it recovered",
		long: `Explain tells what happened to a topology, oldest first. Of each recovery it says why the task was lost, what the task
asked its sources for when it came back, how many tuples it had missed and were replayed to it, how many it processed
again, and where the time went: until the loss was noticed (detect), until the task was begun again (start), until its
log was read (load), until it had caught up (replay). Without a name it tells what happened to the cluster: supervisors
that came and went, and who leads.`,
		example: `  askback explain wordcount
  askback explain wordcount --follow
  askback explain wordcount --json | jq '.events[] | select(.kind == "recovered") | .recovery'`,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().IntVar(&limit, "limit", 1000, "at most this many events, the newest")
			cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on telling what happens, until Ctrl-C; with --json one event a line")
		},
	}
	o.check = func([]string) error {
		if limit < 1 {
			return fmt.Errorf("--limit %d: want 1 or more", limit)
		}
		return nil
	}
	o.run = func(ctx context.Context, s *session, args []string) error {
		question := cluster.ExplainRequest{Limit: limit}
		of := "the cluster"
		if len(args) > 0 {
			question.Name, of = args[0], args[0]
		}
		reply, err := ask[cluster.ExplainReply](ctx, s, cluster.View, cluster.VerbExplain, question)
		if err != nil {
			return err
		}
		if follow {
			return followEvents(ctx, s, question, reply.Events)
		}
		return s.print(reply, func() error {
			if len(reply.Events) == 0 {
				return s.say("nothing is known to have happened to %s", of)
			}
			t := timeline{out: s.out}
			for i := range reply.Events {
				t.write(&reply.Events[i])
			}
			if len(args) == 0 {
				return nil
			}
			return t.sum()
		})
	}
	return o.command()
}

// followEvery is how often new events are asked for.
const followEvery = time.Second

// followEvents prints events, and then those that come. Losing nimbus for a while loses none of them.
func followEvents(ctx context.Context, s *session, question cluster.ExplainRequest, events []cluster.Event) error {
	t, seen := timeline{out: s.out}, map[string]bool{}
	for {
		now := make(map[string]bool, len(events)) // what the next answer may repeat
		for i := range events {
			line, err := json.Marshal(&events[i])
			if err != nil {
				return err
			}
			if now[string(line)] = true; seen[string(line)] {
				continue
			}
			if !s.json {
				t.write(&events[i])
			} else if _, err := fmt.Fprintf(s.out, "%s\n", line); err != nil {
				return err
			}
		}
		seen = now
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(followEvery):
		}
		reply, err := ask[cluster.ExplainReply](ctx, s, cluster.View, cluster.VerbExplain, question)
		if ctx.Err() != nil {
			return nil
		}
		if status := exitStatus(err); err != nil && status != exitUnreachable {
			return err
		}
		if err == nil {
			events = reply.Events
		}
	}
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
		// The instance is what all of it is about.
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
}

// recovery prints how a task came back.
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

// sum ends the timeline.
func (t *timeline) sum() error {
	if t.recoveries == 0 {
		_, err := fmt.Fprintln(t.out, "\nno recovery")
		return err
	}
	times := "once"
	if t.recoveries > 1 {
		times = fmt.Sprintf("%d times", t.recoveries)
	}
	_, err := fmt.Fprintf(t.out, "\nrecovered %s, at most in %s · missed %s, replayed %s, reprocessed %s\n",
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
