package auth

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// AddSupervisor makes credentials for one more supervisor, in a directory that Init made and that has the account's
// key. Servers need no new configuration.
func AddSupervisor(dir string, p natscluster.Subjects, name string) (File, error) {
	if err := cluster.CheckName("supervisor", name, msgid.MaxName); err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return addUser(dir, File{Path: supervisorFile(name), What: "for the supervisor " + name}, supervisorUser(p, name))
}

// AddUser makes credentials for one more person.
func AddUser(dir string, p natscluster.Subjects, name string, role cluster.Role) (File, error) {
	if err := cluster.CheckName("user", name, msgid.MaxName); err != nil {
		return File{}, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	return addUser(dir, File{Path: "user-" + name + ".creds", What: "for " + name + ", role " + role.String()}, person(p, name, role))
}

func supervisorFile(name string) string { return "supervisor-" + name + ".creds" }

func addUser(dir string, f File, u user) (File, error) {
	seed, err := os.ReadFile(filepath.Join(dir, accountFile))
	if err != nil {
		return File{}, fmt.Errorf("auth: the account's key, which is kept offline, is needed: %w", err)
	}
	account, err := nkeys.FromSeed(bytes.TrimSpace(seed))
	if err != nil {
		return File{}, fmt.Errorf("%w: %s holds no key", ErrIssue, accountFile)
	}
	defer account.Wipe()
	text, err := u.credentials(account)
	if err != nil {
		return File{}, err
	}
	return f, writeNew(filepath.Join(dir, f.Path), text)
}

// Renew makes new certificates with new keys for all servers, by the authority that Init made, for the same hosts. Copy
// them to the servers and reload those (SIGHUP): connections stay as they are. It returns the names of the files.
func Renew(dir string, validity time.Duration) ([]string, error) {
	if validity < time.Minute || validity > caValidity {
		return nil, fmt.Errorf("%w: validity of %v: want a minute to ten years", ErrOptions, validity)
	}
	cert, err := os.ReadFile(filepath.Join(dir, caFile))
	if err != nil {
		return nil, fmt.Errorf("auth: the authority's certificate: %w", err)
	}
	key, err := os.ReadFile(filepath.Join(dir, caKeyFile))
	if err != nil {
		return nil, fmt.Errorf("auth: the authority's key, which is kept offline, is needed: %w", err)
	}
	authority, err := readCA(cert, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	old, err := filepath.Glob(filepath.Join(dir, "server-*.pem"))
	if err != nil || len(old) == 0 {
		return nil, fmt.Errorf("auth: no server-*.pem in %s: nothing to renew", dir)
	}
	var made []string
	for _, path := range old {
		names, err := renew(authority, path, validity)
		if err != nil {
			return made, err
		}
		made = append(made, names...)
	}
	return made, nil
}

func renew(authority *ca, path string, validity time.Duration) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	old, err := parseCertificate(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	cert, key, err := authority.again(old, validity)
	if err != nil {
		return nil, err
	}
	keyPath := strings.TrimSuffix(path, ".pem") + ".key"
	if err := errors.Join(replace(keyPath, key), replace(path, cert)); err != nil {
		return nil, err
	}
	return []string{filepath.Base(path), filepath.Base(keyPath)}, nil
}

// replace writes a file beside and gives it the name: a reader sees the old one or the new one.
func replace(path string, content []byte) error {
	next := path + ".new"
	_ = os.Remove(next)
	if err := writeNew(next, content); err != nil {
		return err
	}
	if err := os.Rename(next, path); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	return nil
}

// ReadTrust reads the file trust that Init makes: public keys, one in a line.
func ReadTrust(path string) (accounts []string, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth: trust: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if !nkeys.IsValidPublicAccountKey(line) {
			return nil, fmt.Errorf("%w: %s: a line is no account's public key", ErrOptions, path) // it may be a seed: not repeated
		}
		accounts = append(accounts, line)
	}
	if len(accounts) == 0 { // an empty trust would be an open cluster
		return nil, fmt.Errorf("%w: %s names no account", ErrOptions, path)
	}
	return accounts, nil
}
