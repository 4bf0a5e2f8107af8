package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"golang.org/x/sys/unix"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// An Attempt is what was tried, and what came of it.
type Attempt struct {
	What   string `json:"what"`
	Result string `json:"result"` // "denied", or what was achieved
}

// spy reads the launch, which is then put back, and tries everything with its content. It writes the results to the
// file -out, and the process's number.
func spy() error {
	launch := os.NewFile(cluster.LaunchFD, "launch")
	text, err := io.ReadAll(launch)
	if err != nil {
		return err
	}
	fd, err := unix.MemfdCreate("launch", 0)
	if err != nil {
		return err
	}
	again := os.NewFile(uintptr(fd), "again")
	if _, err := again.Write(text); err != nil {
		return err
	}
	if _, err := again.Seek(0, 0); err != nil {
		return err
	}
	if err := unix.Dup3(fd, cluster.LaunchFD, unix.O_CLOEXEC); err != nil {
		return err
	}
	var l cluster.Launch
	if err := json.Unmarshal(text, &l); err != nil {
		return err
	}
	go func() {
		time.Sleep(2 * time.Second) // the victim runs
		all := append(look(), attack(&l)...)
		report, _ := json.MarshalIndent(all, "", "  ")
		path := *out + "." + strconv.Itoa(os.Getpid())
		if err := errors.Join(os.WriteFile(path+".new", report, 0o644), os.Rename(path+".new", path+".report")); err != nil {
			fmt.Fprintln(os.Stderr, "spy:", err)
		}
	}()
	return nil
}

// look looks into all other processes of the cluster, which have its directory among their arguments.
func look() (all []Attempt) {
	ours := []byte(filepath.Dir(filepath.Dir(*out)))
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if !bytes.Contains(line, ours) {
			continue
		}
		name, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "comm"))
		for _, file := range []string{"environ", "mem", "maps", "fd/3", "cwd"} {
			path := filepath.Join("/proc", e.Name(), file)
			what := "open " + file + " of a process " + strings.TrimSpace(string(name))
			f, err := os.Open(path)
			if err == nil {
				_ = f.Close()
				all = append(all, Attempt{what, "opened " + path})
			} else if errors.Is(err, os.ErrPermission) {
				all = append(all, Attempt{what, "denied"})
			}
		}
	}
	return all
}

// A sneak is a client with stolen credentials.
type sneak struct {
	*nats.Conn
	mu     sync.Mutex
	denied []string
	key    string
}

func connect(c *natscluster.Connection) (*sneak, error) {
	u, err := c.User()
	if err != nil {
		return nil, err
	}
	s := &sneak{key: u.Key()}
	s.Conn, err = c.Connect("hostile", u, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.denied = append(s.denied, err.Error())
	}))
	return s, err
}

// try does something, and reports whether the server has denied it.
func (s *sneak) try(what string, do func() error) Attempt {
	s.mu.Lock()
	s.denied = nil
	s.mu.Unlock()
	err := do()
	if err == nil {
		err = s.Flush()
	}
	time.Sleep(20 * time.Millisecond) // denials come before the flush's answer, and are reported by another goroutine
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case len(s.denied) > 0 && strings.Contains(strings.ToLower(s.denied[0]), "permissions violation"):
		return Attempt{what, "denied"}
	case err != nil:
		return Attempt{what, err.Error()}
	}
	return Attempt{what, "done"}
}

func (s *sneak) publish(subject, text string) Attempt {
	return s.try("publish "+subject, func() error { return s.Publish(subject, []byte(text)) })
}

func (s *sneak) listen(subject string) Attempt {
	return s.try("listen to "+subject, func() error { _, err := s.SubscribeSync(subject); return err })
}

// attack tries what would harm the victim.
func attack(l *cluster.Launch) (all []Attempt) {
	s, err := connect(&natscluster.Connection{Servers: l.Servers, Prefix: l.Prefix, CAPEM: l.CA, Login: l.Login})
	if err != nil {
		return []Attempt{{"connect", err.Error()}}
	}
	defer s.Close()
	p, their := l.Prefix+".", l.Prefix+"."+*victim+"."
	log := l.Prefix + "-" + *victim
	order, _ := json.Marshal(cluster.Assignment{Instance: cluster.Instance(*victim), Revision: 1 << 40, Stop: true})
	heartbeat, _ := json.Marshal(cluster.Heartbeat{Runtime: cluster.Runtime})
	kill, _ := json.Marshal(cluster.KillRequest{Name: cluster.Instance(*victim).Name()})
	for _, m := range [][2]string{
		{their + "data.lines.0.split.0", "forged"},
		{their + "ctl.count.0.split.0", "forged"},
		{their + "replay.lines.0.split.0", "forged"},
		{their + "log.count.0", "forged"},
		{p + "heartbeat.worker." + *victim + "." + *target, string(heartbeat)},
		{p + "heartbeat.host.s1", "{}"},
		{p + "worker." + *victim + "." + *target + ".assign", string(order)},
		{p + "worker." + *victim + "." + *target + ".crash", `{"task":"count.0"}`},
		{p + "event." + *victim, "{}"},
		{p + "event.cluster", "{}"},
		{p + "api.operate.kill", string(kill)},
		{p + "api.view.list", "{}"},
		{p + "api.host.s1.login", "{}"},
		{p + "api.worker." + *victim + "." + *target + ".renew", "{}"},
		{p + "host.s1.logs", "{}"},
		{p + "changed.topology." + cluster.Instance(*victim).Name(), ""},
		{"$KV." + l.Prefix + "-cluster.topology." + cluster.Instance(*victim).Name(), "{}"},
		{"$O." + l.Prefix + "-artefacts.M.x", "{}"},
		{"$JS.API.STREAM.DELETE." + log, ""},
		{"$JS.API.STREAM.PURGE." + log, ""},
		{"$JS.API.CONSUMER.CREATE." + log, "{}"},
		{"$JS.API.DIRECT.GET." + log, `{"seq":1}`},
		{p + "jetstream.STREAM.MSG.GET." + log, `{"seq":1}`},
		{p + "jetstream.STREAM.PURGE." + log, ""},
	} {
		all = append(all, s.publish(m[0], m[1]))
	}
	for _, subject := range []string{
		">", "*", "_INBOX.>", "_R_.>", "$SYS.>", "$JS.>", "$KV.>", p + ">", p + "*.data.>", their + ">", their + "data.*.*.count.0",
		p + "heartbeat.>", p + "worker." + *victim + ".>", p + "api.>", p + "event.>", p + "changed.>",
	} {
		all = append(all, s.listen(subject))
	}
	return append(all, s.lie(l)...)
}

// lie publishes false statements where the worker may publish. The permission does no harm: every receiver rejects
// them.
func (s *sneak) lie(l *cluster.Launch) (all []Attempt) {
	p, own := natscluster.Subjects(l.Prefix), l.Slot
	host, slot, _ := strings.Cut(*target, ".")
	n, _ := strconv.Atoi(slot)
	theirs := cluster.WorkerSlot{Instance: cluster.Instance(*victim), Supervisor: host, Number: n}
	heartbeat, _ := json.Marshal(cluster.Heartbeat{Slot: theirs, PID: 1, Runtime: cluster.Runtime, Revision: 1 << 40})
	event, _ := json.Marshal(cluster.Event{At: time.Now(), Kind: cluster.TaskFailed, Instance: theirs.Instance, Slot: &theirs, Text: "forged"})
	login, _ := json.Marshal(cluster.LoginRequest{Slot: theirs, Key: s.key})
	s.publish(p.WorkerHeartbeat(own), string(heartbeat))
	s.publish(p.Event(string(own.Instance)), string(event))
	// The answers to what it may do go where it may not publish.
	log := l.Prefix + "." + string(own.Instance) + ".log." + l.Assignment.Tasks[0].String()
	for _, reply := range []string{
		"$KV." + p.Bucket() + ".topology." + theirs.Instance.Name(),
		p.Worker(theirs, cluster.VerbAssign),
		"$JS.API.STREAM.DELETE." + l.Prefix + "-" + *victim,
		l.Prefix + "." + *victim + ".data.lines.0.split.0",
	} {
		_ = s.PublishRequest(log, reply, nil)
		_ = s.PublishRequest("$JS.API.DIRECT.GET."+l.Prefix+"-"+string(own.Instance), reply, []byte(`{"seq":1}`))
	}
	m, err := s.Request(p.WorkerAPI(own, cluster.VerbRenew), login, 5*time.Second)
	switch {
	case err != nil:
		all = append(all, Attempt{"ask for another's login", err.Error()})
	case m.Header.Get("Nats-Service-Error-Code") != "":
		all = append(all, Attempt{"ask for another's login", "denied"})
	default:
		all = append(all, Attempt{"ask for another's login", string(m.Data)})
	}
	return all
}
