package clustertest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// canary: no seed of any key is where it does not belong: after all that has happened, no file or log holds one, and
// the workers' user can read none.
func (f *fixture) canary() {
	seed := regexp.MustCompile(`\bS[UAOX][A-Z2-7]{56}\b`)
	var secrets []string
	err := filepath.WalkDir(f.keys(), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		for _, s := range seed.FindAll(text, -1) {
			secrets = append(secrets, string(s))
		}
		if strings.HasSuffix(path, ".key") { // a line of the middle
			secrets = append(secrets, strings.Split(string(text), "\n")[1])
		}
		return err
	})
	if err != nil || len(secrets) < 10 {
		f.t.Fatalf("%d secrets: %v", len(secrets), err)
	}
	r := f.submitTo("canary", 3, 20_000) // some processes to look at
	logins, _ := filepath.Glob(filepath.Join(f.dir, "s?", "slots", "*", "*", "login"))
	if len(logins) == 0 {
		f.t.Error("no login of a worker is found, so nothing is known of those")
	}
	for _, path := range logins {
		text, err := os.ReadFile(path)
		if err != nil {
			f.t.Fatal(err)
		}
		for _, s := range seed.FindAll(text, -1) {
			secrets = append(secrets, string(s))
		}
	}
	f.t.Logf("%d secrets", len(secrets))
	roots := []string{f.dir, filepath.Dir(f.nats[0].Log)}
	for _, path := range f.search(nil, secrets, roots) {
		if !strings.HasPrefix(path, f.keys()+"/") && !slices.Contains(logins, path) {
			f.t.Errorf("a secret is in %s", path)
		}
	}
	if len(f.search(nil, secrets, []string{f.keys()})) == 0 {
		f.t.Error("the search finds nothing even where the keys are")
	}
	nobody := &syscall.Credential{Uid: 65534, Gid: 65534}
	for _, path := range f.search(nobody, secrets, append(roots, os.TempDir())) {
		f.t.Errorf("workers can read the secret in %s", path)
	}
	f.end(r.name)
}

// search looks for secrets with a user's rights.
func (f *fixture) search(as *syscall.Credential, secrets, roots []string) (paths []string) {
	f.t.Helper()
	var errs bytes.Buffer
	c := exec.Command(f.program("hostile"), append([]string{"search"}, roots...)...)
	c.Stdin, c.Stderr = strings.NewReader(strings.Join(secrets, "\n")), &errs
	c.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	out, err := c.Output()
	if err != nil {
		f.t.Fatalf("search: %v: %s", err, &errs)
	}
	return strings.Fields(string(out))
}
