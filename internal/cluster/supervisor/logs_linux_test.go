package supervisor

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/askback/askback/internal/cluster"
)

// A reading is a request for logs that is being answered.
type reading struct {
	s    *site
	sub  *nats.Subscription
	text strings.Builder
}

// ask asks for logs.
func (s *site) ask(q cluster.LogsRequest) *reading {
	s.Helper()
	inbox := s.nc.NewInbox()
	sub, err := s.nc.SubscribeSync(inbox)
	if err != nil {
		s.Fatal(err)
	}
	text, _ := json.Marshal(q)
	if err := s.nc.PublishRequest(s.p.Host(host, cluster.VerbLogs), inbox, text); err != nil {
		s.Fatal(err)
	}
	return &reading{s: s, sub: sub}
}

// next reads a message; it reports false at the end. An error is the request's refusal.
func (r *reading) next() (bool, error) {
	r.s.Helper()
	for {
		m, err := r.sub.NextMsg(10 * time.Second)
		if err != nil {
			r.s.Fatal(err)
		}
		if text := m.Header.Get(micro.ErrorHeader); text != "" {
			return false, &cluster.RequestError{Code: cluster.ErrCode(m.Header.Get(micro.ErrorCodeHeader)), Text: text}
		}
		if m.Header.Get(cluster.LogsAlive) != "" {
			continue
		}
		if len(m.Data) == 0 {
			return false, nil
		}
		if m.Data[len(m.Data)-1] != '\n' {
			r.s.Errorf("a message ends within a line: %q", m.Data)
		}
		r.text.Write(m.Data)
		return true, nil
	}
}

// all reads to the end.
func (r *reading) all() ([]string, error) {
	r.s.Helper()
	for {
		more, err := r.next()
		if err != nil {
			return nil, err
		}
		if !more {
			return strings.Split(strings.TrimSuffix(r.text.String(), "\n"), "\n"), nil
		}
	}
}

func TestLogs(t *testing.T) {
	s := newSite(t)
	s.supervise(nil)
	r := s.record("words", "beat")
	s.put(r)
	slot := slotOf(r)
	s.shows(slot, cluster.ProcessRunning, nil)
	q := cluster.LogsRequest{Instance: slot.Instance, Slot: slot.Number}
	s.within(10*time.Second, "twenty lines", func() bool {
		lines, err := s.ask(q).all()
		return err == nil && len(lines) >= 20
	})
	q.Tail, q.Task = 5, "count.0"
	lines, err := s.ask(q).all()
	if err != nil || len(lines) != 5 {
		t.Fatalf("%q, %v: want five lines", lines, err)
	}
	for _, line := range lines {
		if !strings.Contains(line, `"task":"count.0"`) {
			t.Errorf("a line of another task: %s", line)
		}
	}

	t.Log("following, until the client has gone")
	q.Follow, q.Tail = true, 1
	follow := s.ask(q)
	for strings.Count(follow.text.String(), "\n") < 5 {
		if more, err := follow.next(); !more || err != nil {
			t.Fatal(more, err)
		}
	}
	_ = follow.sub.Unsubscribe()

	t.Log("invalid requests")
	for _, test := range []struct {
		q    cluster.LogsRequest
		code cluster.ErrCode
	}{
		{cluster.LogsRequest{Instance: "../x"}, cluster.CodeBadRequest},
		{cluster.LogsRequest{Instance: slot.Instance, Slot: -1}, cluster.CodeBadRequest},
		{cluster.LogsRequest{Instance: slot.Instance, Slot: 1, Task: "a\nb"}, cluster.CodeBadRequest},
		{cluster.LogsRequest{Instance: slot.Instance, Slot: 1, Tail: -1}, cluster.CodeBadRequest},
		{cluster.LogsRequest{Instance: slot.Instance, Slot: 7}, cluster.CodeNotFound},
	} {
		_, err := s.ask(test.q).all()
		if refused, ok := err.(*cluster.RequestError); !ok || refused.Code != test.code {
			t.Errorf("%+v: %v", test.q, err)
		}
	}
	_ = s.nc.PublishRequest(s.p.Host(host, cluster.VerbLogs), "askback.event.cluster", []byte("{}"))

	t.Log("clients that went away make room")
	for range 2 * mostReaders {
		q.Tail = 1
		f := s.ask(q)
		if _, err := f.next(); err != nil {
			if refused, ok := err.(*cluster.RequestError); !ok || refused.Code != cluster.CodeUnavailable {
				t.Fatal(err)
			}
		}
		_ = f.sub.Unsubscribe()
	}
	s.within(10*time.Second, "room", func() bool {
		f := s.ask(q)
		_, err := f.next()
		_ = f.sub.Unsubscribe()
		return err == nil
	})
}

func TestOutput(t *testing.T) {
	o := &output{path: filepath.Join(t.TempDir(), "logs", "output"), most: 1000, files: 2}
	f, err := o.open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	follow := &follower{out: o, wanted: lineFilter("")}
	var followed []string
	for n := range 200 {
		if _, err := fmt.Fprintf(f, "line %d of the output\n", n); err != nil {
			t.Fatal(err)
		}
		if err := o.rotate(); err != nil {
			t.Fatal(err)
		}
		if n%7 == 0 {
			follow.read(func(line []byte) { followed = append(followed, string(line)) })
		}
	}
	follow.read(func(line []byte) { followed = append(followed, string(line)) })
	for n, line := range followed {
		if line != fmt.Sprintf("line %d of the output\n", n) {
			t.Fatalf("line %d that was followed is %q", n, line)
		}
	}
	if len(followed) != 200 {
		t.Errorf("%d lines were followed, want 200", len(followed))
	}
	lines, at := o.tail(60, lineFilter(""))
	if len(lines) != 60 || string(lines[0]) != "line 140 of the output\n" || string(lines[59]) != "line 199 of the output\n" || at != o.size() {
		t.Errorf("the tail is %q, at %d of %d", lines, at, o.size())
	}
	files, _ := filepath.Glob(o.path + "*")
	if len(files) != 3 {
		t.Errorf("files %v, want three", files)
	}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.Size() > 1100 || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
}

func TestLongLines(t *testing.T) {
	o := &output{path: filepath.Join(t.TempDir(), "output"), most: 1 << 20}
	if err := write(o.path, strings.Repeat("x", 3*maxLine+5)+"\nshort\nunfinished"); err != nil {
		t.Fatal(err)
	}
	lines, at := o.tail(100, lineFilter(""))
	if len(lines) != 5 || len(lines[0]) != maxLine+1 || string(lines[3]) != "xxxxx\n" || string(lines[4]) != "short\n" || at != 3*maxLine+12 {
		t.Errorf("%d lines, at %d", len(lines), at)
	}
}

func TestPruneLogs(t *testing.T) {
	d := dir(t.TempDir())
	if err := d.make(); err != nil {
		t.Fatal(err)
	}
	slot := func(instance cluster.Instance) cluster.WorkerSlot {
		return cluster.WorkerSlot{Instance: instance, Supervisor: "me"}
	}
	for _, s := range []cluster.WorkerSlot{slot("used-aaaaaaaa"), slot("old-aaaaaaaa"), slot("new-aaaaaaaa")} {
		if err := os.MkdirAll(d.of("logs", s), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := write(d.output(s), "x"); err != nil {
			t.Fatal(err)
		}
		if s.Instance != "new-aaaaaaaa" {
			if err := os.Chtimes(d.output(s), time.Now().Add(-time.Hour), time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	d.pruneLogs(time.Now().Add(-time.Minute), func(s cluster.WorkerSlot) bool { return s.Instance == "used-aaaaaaaa" }, "me")
	left, _ := filepath.Glob(filepath.Join(string(d), "logs", "*"))
	if len(left) != 2 {
		t.Errorf("left: %v", left)
	}
}
