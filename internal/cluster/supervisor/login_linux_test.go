package supervisor

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/msgid"
)

// A worker's login is asked of nimbus, follows its tasks, outlives nimbus, and shows nowhere.
func TestLogin(t *testing.T) {
	s := newSite(t)
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, _ := pair.Seed()
	away := false
	var keys []string
	s.answers(func(verb string, data []byte) any {
		if away {
			return nil
		}
		if verb == cluster.VerbLogin {
			var q cluster.LoginRequest
			if err := json.Unmarshal(data, &q); err != nil || !nkeys.IsValidPublicUserKey(q.Key) {
				t.Errorf("asked for %s: %v", data, err)
			}
			keys = append(keys, q.Key)
			return cluster.LoginReply{JWT: "token-" + strings.Repeat("x", len(keys)), Expires: time.Now().Add(time.Hour)}
		}
		return cluster.JoinReply{Detection: time.Second}
	})
	s.supervise(func(c *Config) { c.Connection.Login = cluster.Login{JWT: "of the supervisor", Seed: string(seed)} })
	r := s.record("words", "beat")
	s.put(r)
	slot := slotOf(r)
	was := s.testimony(slot, nil)
	if l := was.Launch.Login; l.JWT != "token-x" || l.Seed == "" || l.Seed == string(seed) {
		t.Errorf("the worker's login is %v, JWT %q", l, l.JWT)
	}

	r.Status = cluster.Inactive // no change that concerns permissions
	s.put(r)
	r.Placement[0].Tasks = append(r.Placement[0].Tasks, msgid.Alias{Operator: "count", Index: 1})
	revision := s.put(r)
	now := s.testimony(slot, func(t *testimony) bool { return len(t.Orders) > 0 && t.Orders[len(t.Orders)-1].Revision == revision })
	if o := now.Orders[len(now.Orders)-1]; o.JWT != "token-xx" || len(o.Tasks) != 3 || now.PID != was.PID {
		t.Errorf("the order is %+v", o)
	}
	s.mu.Lock()
	away = true
	if len(keys) != 2 || keys[0] != keys[1] {
		t.Errorf("logins were asked for keys %q", keys)
	}
	s.mu.Unlock()
	if err := syscall.Kill(was.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	again := s.testimony(slot, func(t *testimony) bool { return t.PID != was.PID })
	if l := again.Launch.Login; l.JWT != "token-xx" || l.Seed != was.Launch.Login.Seed {
		t.Errorf("the login of the second process is %v, JWT %q", l, l.JWT)
	}

	t.Log("the seed is in one file, which no other user can read")
	secret := was.Launch.Login.Seed
	if strings.Contains(strings.Join(append(again.Env, again.Args...), " "), secret) {
		t.Error("the seed is in the environment or in the arguments")
	}
	for _, e := range s.published() {
		if strings.Contains(e.Text, secret) {
			t.Errorf("the seed is in the event %s", e.Text)
		}
	}
	var found []string
	err = filepath.WalkDir(s.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "testimony" {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.Contains(string(text), secret) {
			found = append(found, path)
		}
		return err
	})
	if want := filepath.Join(dir(s.dir).of("slots", slot), loginFile); err != nil || len(found) != 1 || found[0] != want {
		t.Fatalf("the seed is in %q, %v; want %s", found, err, want)
	}
	for path, mode := range map[string]fs.FileMode{found[0]: 0o600, filepath.Join(s.dir, "slots"): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want mode %o", path, info, err, mode)
		}
	}
}

func TestLoginHolds(t *testing.T) {
	now := time.Now()
	l := &login{Tasks: []string{"a.0", "b.0"}, Issued: now, Until: now.Add(time.Hour)}
	for _, test := range []struct {
		at          time.Duration
		tasks       string
		covers, old bool
	}{
		{0, "a.0 b.0", true, false}, {0, "a.0", false, false}, {31 * time.Minute, "a.0 b.0", true, true}, {time.Hour, "a.0 b.0", false, true},
	} {
		at := now.Add(test.at)
		if l.covers(strings.Fields(test.tasks), at) != test.covers || l.old(at) != test.old {
			t.Errorf("%+v: covers %v, old %v", test, l.covers(strings.Fields(test.tasks), at), l.old(at))
		}
	}
	if (*login)(nil).covers(nil, now) || (*login)(nil).old(now) {
		t.Error("no login covers nothing")
	}
}
