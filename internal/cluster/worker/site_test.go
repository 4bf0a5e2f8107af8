package worker_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/cluster/worker"
	"github.com/askback/askback/internal/recovery"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
)

// TestMain lets the test binary be a topology program, whose workers can be killed and paused.
func TestMain(m *testing.M) {
	if os.Getenv(cluster.RoleVariable) != "worker" {
		goleak.VerifyTestMain(m)
		return
	}
	n, _ := strconv.ParseInt(os.Args[2], 10, 64)
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	exit, err := worker.Run(ctx, counting(os.Args[1], n), os.NewFile(cluster.LaunchFD, "launch"))
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(exit)
}

// rate is how many lines a second there are, so that there is time for the test's events.
const rate = 4000

// line is the i-th line, of three words.
func line(i int64) string { return fmt.Sprintf("w%d w%d common", i%97, i*i%89) }

// counting is a topology that counts the words of n lines, and writes the counts to a file in a directory.
func counting(dir string, n int64) *topology.Builder {
	b := topology.New("counting")
	b.Spout("lines", spout.Generate(n, func(i int64, out spout.Emitter) error { return out.Row().String(line(i)).Emit() }).Rate(rate)).Fields("line")
	b.Bolt("split", func() bolt.Bolt { return words.Split{} }).Parallel(2).Shuffle("lines").Fields("word")
	b.Bolt("count", func() bolt.Bolt { return &words.Count{} }).Parallel(2).GroupBy("split", "word").Fields("word", "n").CPU(50)
	b.Bolt("out", files.Bolt(filepath.Join(dir, "counts"), files.Single())).Global("count")
	return b
}

// counts returns the right result of the topology, counted one line after another.
func counts(n int64) string {
	times := map[string]int{}
	for i := range n {
		for _, word := range strings.Fields(line(i)) {
			times[word]++
		}
	}
	var lines strings.Builder
	for _, word := range slices.SortedFunc(maps.Keys(times), cmp.Compare[string]) {
		fmt.Fprintf(&lines, "%s\t%d\n", word, times[word])
	}
	return lines.String()
}

// A site is a NATS server, the log of one instance, and a subscriber to its workers.
type site struct {
	t        *testing.T
	servers  string
	nc       *nats.Conn
	subjects natscluster.Subjects
	instance cluster.Instance
	dir      string // for the topology's output
	n        int64  // lines
	spec     *cluster.Spec

	mu         sync.Mutex
	heartbeats map[cluster.WorkerSlot]cluster.Heartbeat
}

// settings make snapshots frequent.
var settings = recovery.Config{SnapshotEvery: 100}

func newSite(t *testing.T, n int64) *site {
	t.Helper()
	server, err := embed.Start(embed.Options{Listen: "127.0.0.1:0"})
	check(t, err)
	t.Cleanup(func() { check(t, server.Stop()) })
	nc, err := nats.Connect(server.URL())
	check(t, err)
	t.Cleanup(nc.Close)
	s := &site{t: t, servers: server.URL(), nc: nc, subjects: "askback", instance: cluster.NewInstance("words"), dir: t.TempDir(), n: n,
		heartbeats: map[cluster.WorkerSlot]cluster.Heartbeat{}}
	s.spec, err = worker.Describe(counting(s.dir, n), "backtrack", settings, 0)
	check(t, err)
	check(t, natscluster.Setup(t.Context(), nc, s.subjects, 1))
	s.makeLog()
	s.listen()
	return s
}

// listen records heartbeats and events.
func (s *site) listen() {
	s.t.Helper()
	_, err := s.nc.Subscribe(s.subjects.WorkerHeartbeats("*"), func(m *nats.Msg) {
		var b cluster.Heartbeat
		if json.Unmarshal(m.Data, &b) == nil {
			s.mu.Lock()
			s.heartbeats[b.Slot] = b
			s.mu.Unlock()
		}
	})
	check(s.t, err)
}

// makeLog does as nimbus does.
func (s *site) makeLog() {
	s.t.Helper()
	_, err := natslog.Open(s.t.Context(), s.nc, natslog.Options{Prefix: string(s.subjects), Topology: string(s.instance)})
	check(s.t, err)
}

// launch returns the supervisor's input to the worker in a slot.
func (s *site) launch(slot int, tasks ...string) *cluster.Launch {
	return &cluster.Launch{
		Slot:   cluster.WorkerSlot{Instance: s.instance, Supervisor: "here", Number: slot},
		Prefix: string(s.subjects), Servers: s.servers, Spec: *s.spec,
		Assignment: s.order(1, tasks...), Durability: "process", Runtime: cluster.Runtime, Detection: cluster.Detection,
	}
}

// order is to run some tasks: "count.0", or all of "count".
func (s *site) order(revision uint64, tasks ...string) cluster.Assignment {
	o := cluster.Assignment{Instance: s.instance, Revision: revision, Epoch: 1, Active: true}
	for _, alias := range s.spec.Tasks() {
		if slices.Contains(tasks, alias.String()) || slices.Contains(tasks, alias.Operator) {
			o.Tasks = append(o.Tasks, alias)
		}
	}
	return o
}

// send sends an order as supervisors do: until a heartbeat shows that it is followed.
func (s *site) send(slot int, o cluster.Assignment) {
	s.t.Helper()
	s.until(fmt.Sprintf("slot %d follows order %d", slot, o.Revision), func() bool {
		s.publish(slot, o)
		time.Sleep(20 * time.Millisecond)
		return o.Stop || s.heartbeat(slot).Revision >= o.Revision
	})
}

func (s *site) heartbeat(slot int) cluster.Heartbeat {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heartbeats[s.launch(slot).Slot]
}

// happened returns the events of a kind.
func (s *site) happened(kind cluster.EventKind) (events []cluster.Event) {
	s.t.Helper()
	for _, e := range s.events() {
		if e.Kind == kind {
			events = append(events, e)
		}
	}
	return events
}

func (s *site) events() []cluster.Event {
	s.t.Helper()
	events, err := natscluster.ReadEvents(s.t.Context(), s.nc, s.subjects, string(s.instance), 0)
	check(s.t, err)
	return events
}

// until waits for something to become true.
func (s *site) until(what string, is func() bool) {
	s.t.Helper()
	for began := time.Now(); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			s.mu.Lock()
			defer s.mu.Unlock()
			for slot, b := range s.heartbeats {
				s.t.Logf("%s: %+v", slot, b)
			}
			s.t.Fatalf("in vain waited until %s; events: %+v", what, s.events())
		}
	}
}

// done waits until the workers of these slots report that all their tasks are complete, and checks the result.
func (s *site) done(slots ...int) {
	s.t.Helper()
	s.until("all is complete", func() bool {
		for _, slot := range slots {
			for _, t := range s.heartbeat(slot).Tasks {
				if t.State != "complete" {
					return false
				}
			}
			if len(s.heartbeat(slot).Tasks) == 0 {
				return false
			}
		}
		return true
	})
	s.right()
}

// right checks the result.
func (s *site) right() {
	s.t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "counts"))
	check(s.t, err)
	lines := strings.SplitAfter(string(text), "\n")
	slices.Sort(lines)
	if got := strings.Join(lines, ""); got != counts(s.n) {
		s.t.Errorf("the counts are wrong:\n%s\nwant:\n%s", got, counts(s.n))
	}
}

// under waits until a task of a slot has consumed or emitted something, and has a snapshot.
func (s *site) under(slot int, alias string) {
	s.t.Helper()
	s.until(alias+" is under way", func() bool {
		for _, t := range s.heartbeat(slot).Tasks {
			if t.Alias.String() == alias && t.Counters.Consumed+t.Counters.Emitted > 500 && t.Counters.Snapshots > 1 {
				return true
			}
		}
		return false
	})
}

// A running worker is one in this process.
type running struct {
	s    *site
	slot int
	stop context.CancelFunc
	done chan struct{}
	exit int
	err  error
}

// start runs a worker in this process.
func (s *site) start(l *cluster.Launch) *running {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := &running{s: s, slot: l.Slot.Number, stop: stop, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.exit, r.err = worker.Run(ctx, counting(s.dir, s.n), encode(s.t, l))
	}()
	s.t.Cleanup(func() { stop(); <-r.done })
	return r
}

// ends waits for the worker's end.
func (r *running) ends(exit int) error {
	r.s.t.Helper()
	select {
	case <-r.done:
	case <-time.After(30 * time.Second):
		r.s.t.Fatalf("the worker of slot %d does not end", r.slot)
	}
	if r.exit != exit {
		r.s.t.Errorf("exit %d, want %d: %v", r.exit, exit, r.err)
	}
	return r.err
}

// A process is a worker in a process of its own.
type process struct {
	*exec.Cmd
	s   *site
	out bytes.Buffer
}

func (s *site) startProcess(l *cluster.Launch) *process {
	s.t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], s.dir, fmt.Sprint(s.n)), s: s}
	p.Env = append(os.Environ(), cluster.RoleVariable+"=worker")
	p.Stderr, p.Stdout = &p.out, &p.out
	ours, theirs, err := os.Pipe()
	check(s.t, err)
	p.ExtraFiles = []*os.File{ours}
	check(s.t, p.Start())
	check(s.t, ours.Close())
	_, err = io.Copy(theirs, encode(s.t, l))
	check(s.t, errors.Join(err, theirs.Close()))
	s.t.Cleanup(func() {
		p.kill()
		if s.t.Failed() {
			s.t.Logf("worker %d printed:\n%s", l.Slot.Number, p.out.String())
		}
	})
	return p
}

// kill is kill -9. It may be repeated.
func (p *process) kill() {
	_ = p.Process.Kill()
	_ = p.Wait()
}

func (p *process) signal(s os.Signal) {
	p.s.t.Helper()
	check(p.s.t, p.Process.Signal(s))
}

func encode(t *testing.T, l *cluster.Launch) io.Reader {
	t.Helper()
	text, err := json.Marshal(l)
	check(t, err)
	return bytes.NewReader(text)
}

func alias(operator string, index int) msgid.Alias {
	return msgid.Alias{Operator: operator, Index: index}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// publish sends an order once.
func (s *site) publish(slot int, o cluster.Assignment) {
	s.t.Helper()
	text, err := json.Marshal(o)
	check(s.t, err)
	check(s.t, s.nc.Publish(s.subjects.Worker(s.launch(slot).Slot, cluster.VerbAssign), text))
}
