package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

func logsCommand() *cobra.Command {
	var task string
	var tail int
	var follow bool
	o := &oneTopology{
		use: "logs NAME", short: "Print what a topology's workers have written",
		long: `Logs prints the newest lines that the workers of a topology have written to standard output and standard error, each
behind its worker (supervisor/slot) if there are several. They come from the supervisors, which keep them in files.

With --task only lines of that task's logger are printed; what the program prints by itself belongs to no task. With
--follow new lines follow until Ctrl-C, also those of workers that start later, wherever they are.`,
		example: `  askback logs wordcount
  askback logs wordcount --task count.1 --follow`,
		flags: func(cmd *cobra.Command) {
			cmd.Flags().StringVar(&task, "task", "", "only lines of this task, such as count.1")
			cmd.Flags().IntVar(&tail, "tail", 100, "how many of the newest lines of each worker")
			cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with new lines, until Ctrl-C; with --json one object a line")
		},
	}
	var only *msgid.Alias
	o.check = func([]string) error {
		if tail < 1 {
			return fmt.Errorf("--tail %d: want 1 or more", tail)
		}
		if task == "" {
			return nil
		}
		alias, err := msgid.ParseAlias(task)
		only = &alias
		return err
	}
	o.run = func(ctx context.Context, s *session, args []string) error {
		question := cluster.LogsRequest{Task: task, Tail: tail, Follow: follow}
		l := &logs{session: s, ask: question, task: only, lines: make(chan logLine, 256), open: map[cluster.WorkerSlot]bool{}}
		return l.run(ctx, args[0])
	}
	return o.command()
}

// logs are the outputs of a topology's workers, as they come from several supervisors. A goroutine for each worker
// feeds lines, which is bounded: where the terminal is slow the supervisors wait, or NATS drops lines, which is told.
type logs struct {
	*session
	ask   cluster.LogsRequest
	task  *msgid.Alias // nil: of all
	lines chan logLine

	group sync.WaitGroup
	mu    sync.Mutex
	open  map[cluster.WorkerSlot]bool
	many  bool // than one worker
	past  bool // workers that may never have been are asked for
	bad   []error

	written int // lines; of run's goroutine
}

// A logLine is one line, or what is wrong with a worker's output.
type logLine struct {
	Supervisor string `json:"supervisor"`
	Slot       int    `json:"slot"`
	Line       string `json:"line"`
	err        error
}

// refreshEvery is how often it is looked whether a topology has other workers now.
const refreshEvery = 2 * time.Second

// run prints what there is, and goes on if it is to follow.
func (l *logs) run(ctx context.Context, name string) error {
	d, err := l.find(ctx, name)
	if err != nil {
		return err
	}
	if l.task != nil && !slices.Contains(d.Record.Spec.Tasks(), *l.task) {
		return fmt.Errorf("%s has no task %v; \"askback describe %[1]s\" lists them", name, l.task)
	}
	ctx, stop := context.WithCancel(ctx)
	defer func() { stop(); l.group.Wait() }()
	if l.begin(ctx, &d) == 0 && !l.ask.Follow {
		if err := l.beginEverywhere(ctx, &d); err != nil {
			return err
		}
	}
	ended := make(chan struct{})
	if l.ask.Follow {
		l.group.Go(func() { l.look(ctx, name) })
	} else {
		go func() { l.group.Wait(); close(ended) }() // ends with the group, which run waits for
	}
	for {
		select {
		case line := <-l.lines:
			if err := l.write(line); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		case <-ended:
			for len(l.lines) > 0 {
				if err := l.write(<-l.lines); err != nil {
					return err
				}
			}
			if l.past && l.written == 0 {
				l.bad = append(l.bad, fmt.Errorf("%s has no worker, and no supervisor keeps anything that one has written", name))
			}
			return errors.Join(l.bad...)
		}
	}
}

// look begins to follow workers that have started elsewhere.
func (l *logs) look(ctx context.Context, name string) {
	tick := time.NewTicker(refreshEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if d, err := l.find(ctx, name); err == nil {
				l.begin(ctx, &d)
			}
		}
	}
}

// begin reads the output of each worker that is not being read, and returns how many there are.
func (l *logs) begin(ctx context.Context, d *cluster.Description) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, w := range d.Workers {
		if w.Slot.Check() != nil || l.task != nil && !slices.Contains(w.Tasks, *l.task) {
			continue
		}
		n++
		if slot := w.Slot; !l.open[slot] {
			l.open[slot] = true
			l.group.Go(func() {
				err := l.read(ctx, slot)
				if refused := (*cluster.RequestError)(nil); l.past && errors.As(err, &refused) && refused.Code == cluster.CodeNotFound {
					err = nil
				}
				if err != nil {
					l.send(ctx, logLine{Supervisor: slot.Supervisor, Slot: slot.Number, err: err})
				}
				l.mu.Lock()
				defer l.mu.Unlock()
				l.open[slot] = false
			})
		}
	}
	l.many = l.many || n > 1
	return n
}

// beginEverywhere asks all supervisors for what workers have written that are no more.
func (l *logs) beginEverywhere(ctx context.Context, d *cluster.Description) error {
	list, err := ask[cluster.ListReply](ctx, l.session, cluster.View, cluster.VerbList, struct{}{})
	if err != nil {
		return err
	}
	var was cluster.Description
	for _, h := range list.Hosts {
		for slot := range min(h.Host.Slots, maxSlots) {
			slot := cluster.WorkerSlot{Instance: d.Record.Instance, Supervisor: h.Host.Name, Number: slot}
			was.Workers = append(was.Workers, cluster.WorkerStatus{Slot: slot, Tasks: d.Record.Spec.Tasks()})
		}
	}
	l.past = true
	l.begin(ctx, &was)
	return nil
}

// maxSlots bounds how many workers a supervisor is asked for.
const maxSlots = 64

// read reads the output of one worker, until its supervisor says that this was all.
func (l *logs) read(ctx context.Context, slot cluster.WorkerSlot) error {
	question := l.ask
	question.Instance, question.Slot = slot.Instance, slot.Number
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	inbox := l.nc.NewInbox()
	sub, err := l.nc.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = sub.Unsubscribe() }()
	if err := l.nc.PublishRequest(l.subjects.Host(slot.Supervisor, cluster.VerbLogs), inbox, body); err != nil {
		return err
	}
	for {
		one, stop := context.WithTimeout(ctx, l.timeout) // while it is followed there is a sign of life each second
		m, err := sub.NextMsgWithContext(one)
		stop()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, nats.ErrNoResponders):
			return fmt.Errorf("supervisor %s does not answer; \"askback list\" shows whether it is up", slot.Supervisor)
		case errors.Is(err, nats.ErrSlowConsumer):
			err = errors.New("lines were dropped: they came faster than they could be printed")
			l.send(ctx, logLine{Supervisor: slot.Supervisor, Slot: slot.Number, err: err})
			continue
		case err != nil:
			return fmt.Errorf("supervisor %s has sent no more: %w", slot.Supervisor, err)
		case m.Header.Get(micro.ErrorHeader) != "":
			return &cluster.RequestError{Code: cluster.ErrCode(m.Header.Get(micro.ErrorCodeHeader)), Text: m.Header.Get(micro.ErrorHeader)}
		case m.Header.Get(cluster.LogsAlive) != "":
			continue
		case len(m.Data) == 0:
			return nil
		}
		for line := range strings.SplitSeq(strings.TrimSuffix(string(m.Data), "\n"), "\n") {
			l.send(ctx, logLine{Supervisor: slot.Supervisor, Slot: slot.Number, Line: line})
		}
	}
}

func (l *logs) send(ctx context.Context, line logLine) {
	select {
	case l.lines <- line:
	case <-ctx.Done():
	}
}

func (l *logs) write(line logLine) error {
	where := fmt.Sprintf("%s/%d", line.Supervisor, line.Slot)
	if line.err != nil {
		if !l.ask.Follow { // the rest may be worth seeing; that something is missing is the end's to say
			l.bad = append(l.bad, fmt.Errorf("%s: %w", where, line.err))
			return nil
		}
		_, err := fmt.Fprintf(l.err, "%s: %s\n", where, printable(line.err.Error()))
		return err
	}
	l.written++
	if l.json {
		return json.NewEncoder(l.out).Encode(line)
	}
	l.mu.Lock()
	many := l.many
	l.mu.Unlock()
	if many {
		return l.say("%s  %s", where, line.Line)
	}
	return l.say("%s", line.Line)
}
