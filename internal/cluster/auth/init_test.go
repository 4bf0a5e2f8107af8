package auth_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/auth"
	"github.com/askback/askback/internal/cluster/natscluster"
)

func servers(hosts ...string) (all []auth.Server) {
	for _, h := range hosts {
		all = append(all, auth.Server{Hosts: []string{h}})
	}
	return all
}

// Init's files can be read by their owner only, are all listed in the summary, and overwrite none.
func TestInitFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	s, err := auth.Init(dir, auth.Options{Servers: servers("127.0.0.1", "127.0.0.1", "127.0.0.1"), Supervisors: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, f := range s.Files {
		listed[f.Path] = true
		if !strings.Contains(s.String(), f.Path) && f.Path != "README.txt" || f.What == "" || f.Offline != strings.HasPrefix(f.Path, "offline/") {
			t.Errorf("%+v lacks a purpose", f)
		}
	}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		name, _ := filepath.Rel(dir, path)
		switch {
		case err != nil:
			return err
		case e.IsDir() && info.Mode().Perm() != 0o700, !e.IsDir() && info.Mode() != 0o600:
			t.Errorf("%s has mode %v", path, info.Mode())
		case !e.IsDir() && !listed[name]:
			t.Errorf("%s is not in the summary", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := "tls://127.0.0.1:4222,tls://127.0.0.1:4223,tls://127.0.0.1:4224"; s.Servers != want {
		t.Errorf("servers %s, want %s", s.Servers, want)
	}
	before, _ := os.ReadFile(filepath.Join(dir, "nimbus.creds"))
	if _, err := auth.Init(dir, auth.Options{Servers: servers("127.0.0.1")}); !errors.Is(err, auth.ErrExists) {
		t.Error(err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, "nimbus.creds")); string(before) != string(after) {
		t.Error("credentials were overwritten")
	}
}

// A supervisor and a person are added later, while servers run.
func TestAdd(t *testing.T) {
	y := newYard(t, 1)
	if f, err := auth.AddSupervisor(y.dir, p, "host-9"); err != nil || f.Path != "supervisor-host-9.creds" {
		t.Fatal(f, err)
	}
	if _, err := auth.AddSupervisor(y.dir, p, "host-9"); !errors.Is(err, auth.ErrExists) {
		t.Error(err)
	}
	if _, err := auth.AddUser(y.dir, p, "eve", cluster.View); err != nil {
		t.Fatal(err)
	}
	if _, err := auth.AddSupervisor(y.dir, p, "../host"); !errors.Is(err, auth.ErrOptions) {
		t.Error(err)
	}
	table(t, y.as(t, "supervisor-host-9"), []may{{publish, p.HostHeartbeat("host-9"), true}, {publish, p.HostHeartbeat("host-1"), false}})
	table(t, y.as(t, "user-eve"), []may{{publish, p.API(cluster.View, cluster.VerbList), true}, {publish, p.API(cluster.Operate, cluster.VerbKill), false}})
	if got, err := auth.ReadTrust(filepath.Join(y.dir, "trust")); err != nil || len(got) != 1 {
		t.Error(got, err)
	}
	if err := os.WriteFile(filepath.Join(y.dir, "empty"), []byte("# none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := auth.ReadTrust(filepath.Join(y.dir, "empty")); err == nil {
		t.Error("an empty trust is an open cluster:", got)
	}
}

func TestBadOptions(t *testing.T) {
	one := servers("127.0.0.1")
	for name, o := range map[string]auth.Options{
		"no server":       {},
		"bad host":        {Servers: servers("a b")},
		"quoted host":     {Servers: servers(`a"b`)},
		"no host":         {Servers: []auth.Server{{}}},
		"same port":       {Servers: []auth.Server{{Hosts: []string{"h"}, Port: 1}, {Hosts: []string{"h"}, Port: 1}}},
		"large port":      {Servers: []auth.Server{{Hosts: []string{"h"}, Port: 70000}}},
		"bad prefix":      {Servers: one, Prefix: "a.>"},
		"bad supervisor":  {Servers: one, Supervisors: []string{"../x"}},
		"long supervisor": {Servers: one, Supervisors: []string{strings.Repeat("x", 5000)}},
		"twice":           {Servers: one, Supervisors: []string{"a", "a"}},
		"validity":        {Servers: one, Validity: time.Second},
		"payload":         {Servers: one, MaxPayload: 1},
		"installed":       {Servers: one, Installed: "here"},
		"store":           {Servers: one, StoreDir: "/a\"\nb"},
	} {
		dir := filepath.Join(t.TempDir(), "keys")
		if _, err := auth.Init(dir, o); !errors.Is(err, auth.ErrOptions) || len(err.Error()) > 400 {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%s: something was made", name)
		}
	}
}

func TestParseServer(t *testing.T) {
	for text, want := range map[string]auth.Server{
		"h":                  {Hosts: []string{"h"}},
		"h:1":                {Hosts: []string{"h"}, Port: 1},
		"h+10.0.0.1:1:2":     {Hosts: []string{"h", "10.0.0.1"}, Port: 1, RoutePort: 2},
		"[::1]:1:2":          {Hosts: []string{"::1"}, Port: 1, RoutePort: 2},
		"nats-1.example.org": {Hosts: []string{"nats-1.example.org"}},
	} {
		if got, err := auth.ParseServer(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"h:x", "h:1:2:3", "[::1]x", "h:"} {
		if got, err := auth.ParseServer(bad); !errors.Is(err, auth.ErrOptions) {
			t.Errorf("%s: %+v, %v", bad, got, err)
		}
	}
}

// Canary: no seed is in anything that can be printed.
func TestNoSeedIsPrinted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	s, err := auth.Init(dir, auth.Options{Servers: servers("127.0.0.1", "127.0.0.1"), Supervisors: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	y := &yard{dir: dir, summary: s}
	c := natscluster.Connection{Creds: filepath.Join(dir, "admin.creds")}
	u, err := c.User()
	if err != nil {
		t.Fatal(err)
	}
	var f struct{ Account, Seed string }
	text, _ := os.ReadFile(filepath.Join(dir, "issuer.json"))
	if err := json.Unmarshal(text, &f); err != nil {
		t.Fatal(err)
	}
	i := y.issuer(t)
	_, bad := i.IssueWorker(f.Seed, first, nil, "", time.Hour)
	_, bad2 := i.IssueWorker(u.Key(), first, nil, "", 0)
	_, bad3 := auth.NewIssuer(p, f.Account, []byte(f.Seed+"x"))
	_, bad4 := auth.NewIssuer(p, f.Seed, []byte(f.Seed))
	if err := os.WriteFile(filepath.Join(dir, "bad.json"), append([]byte("{"), text...), 0o600); err != nil {
		t.Fatal(err)
	}
	_, bad5 := auth.ReadIssuer(filepath.Join(dir, "bad.json"), p)
	if bad2 == nil || bad3 == nil || bad5 == nil {
		t.Error(bad2, bad3, bad5)
	}
	type holder struct{ I *auth.Issuer }
	var printed strings.Builder
	for _, v := range []any{i, *i, holder{i}, s, *s, u, bad2, bad3, bad5} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			fmt.Fprintf(&printed, format+"\n", v)
		}
		j, _ := json.Marshal(v)
		printed.Write(j)
	}
	secrets := []string{f.Seed}
	for _, file := range s.Files {
		text, err := os.ReadFile(filepath.Join(dir, file.Path))
		if err != nil {
			t.Fatal(err)
		}
		public := strings.HasSuffix(file.Path, ".pem") || strings.HasSuffix(file.Path, ".conf") || file.Path == "README.txt" || file.Path == "trust"
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			if seed := strings.HasPrefix(line, "S") && len(line) == 58; seed && public {
				t.Errorf("%s holds a seed", file.Path)
			} else if seed || strings.HasSuffix(file.Path, ".key") && len(line) == 64 {
				secrets = append(secrets, line)
			}
		}
	}
	if len(secrets) < 12 {
		t.Errorf("only %d secrets to look for", len(secrets))
	}
	for _, secret := range secrets {
		if strings.Contains(printed.String(), secret) || strings.Contains(printed.String(), fmt.Sprint([]byte(secret)[:20])[1:40]) {
			t.Errorf("%s… is printed", secret[:6])
		}
	}
	for _, err := range []error{bad, bad4} { // a seed in place of a public key is the caller's mistake; it is not repeated
		if err == nil || strings.Contains(err.Error(), f.Seed) {
			t.Error("the error repeats the seed")
		}
	}
}

// Three servers find each other by TLS, and keep three replicas; permissions hold as with one server.
func TestThreeServers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three servers")
	}
	y := newYard(t, 3)
	t.Run("across accounts", func(t *testing.T) { across(t, y, 3) })
	t.Run("redirect", func(t *testing.T) { redirect(t, y, 3) })
}
