package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// ErrExists: there is something where files are to be made. No file was overwritten: keys that are lost cannot be made
// again. Choose another directory.
var ErrExists = errors.New("auth: exists")

// A File is one that was made.
type File struct {
	Path string // in the directory
	What string // its purpose, in words
	// Offline marks a file that must be kept where no server can read it.
	Offline bool
}

// A Summary lists the files that were made. Its String is a page to read.
type Summary struct {
	Dir     string
	Servers string // URLs, separated by commas
	Files   []File
}

// Names of files.
const (
	offline      = "offline"
	accountFile  = "offline/account.nk"
	caKeyFile    = "offline/ca.key"
	caFile       = "ca.pem"
	trustFile    = "trust"
	issuerOfFile = "issuer.json"
)

// Init makes all that a secured cluster needs, in a directory that is not there yet or is empty: keys, an operator, an
// account, users, certificates, and a configuration for each NATS server.
func Init(dir string, o Options) (*Summary, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	if err := o.normalize(dir); err != nil {
		return nil, err
	}
	s := &draft{Summary: Summary{Dir: dir, Servers: urls(o.Servers)}}
	if err := s.fill(&o); err != nil {
		return nil, err
	}
	s.add(false, "README.txt", "this page", "")
	s.contents[len(s.contents)-1] = []byte(s.String())
	if err := s.write(); err != nil {
		return nil, err
	}
	return &s.Summary, nil
}

// A draft holds the files to be written. The contents, secrets among them, are in no Summary.
type draft struct {
	Summary
	contents [][]byte // of Files
}

func (s *draft) add(offline bool, path, what, content string) {
	s.Files = append(s.Files, File{Path: path, What: what, Offline: offline})
	s.contents = append(s.contents, []byte(content))
}

// fill makes the files' contents.
func (s *draft) fill(o *Options) error {
	k, err := newKeys()
	if err != nil {
		return err
	}
	t, err := k.issue(o.Prefix, natscluster.Subjects(o.Prefix))
	if err != nil {
		return err
	}
	s.add(true, "offline/operator.nk", "the operator's key, which signs the accounts that the servers accept", k.operator.seed())
	s.add(true, "offline/system.nk", "the system account's key", k.system.seed())
	s.add(true, accountFile, "the cluster's account's key: makes supervisors and people", k.account.seed())
	s.add(true, "offline/workers.nk", "the workers' account's key", k.workers.seed())
	issuer, err := json.Marshal(issuerFile{Account: k.workers.public, Seed: k.signing.seed()})
	if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	s.add(false, issuerOfFile, "for nimbus: the key by which it makes workers", string(issuer)+"\n")
	s.add(false, trustFile, "for nimbus and supervisors: whose users may submit (public)", k.account.public+"\n")
	if err := s.fillUsers(o, k); err != nil {
		return err
	}
	if err := s.fillCertificates(o); err != nil {
		return err
	}
	for i := range o.Servers {
		s.add(false, serverName(i)+".conf", "for the NATS server "+serverName(i)+": its configuration", conf(o, i, k, t))
	}
	return nil
}

func (s *draft) fillUsers(o *Options, k keys) error {
	p := natscluster.Subjects(o.Prefix)
	system, err := user{name: "system"}.credentials(k.system.KeyPair)
	if err != nil {
		return err
	}
	s.add(true, "offline/system.creds", "to look after the NATS servers themselves", string(system))
	type made struct {
		file, what string
		user       user
	}
	users := []made{
		{"nimbus.creds", "for nimbus", nimbusUser(p)},
		{"view.creds", "for people who may only look", person(p, "view", cluster.View)},
		{"operate.creds", "for people who submit and kill", person(p, "operate", cluster.Operate)},
		{"admin.creds", "for people who administer the cluster", person(p, "admin", cluster.Admin)},
	}
	for _, name := range o.Supervisors {
		users = append(users, made{supervisorFile(name), "for the supervisor " + name, supervisorUser(p, name)})
	}
	for _, m := range users {
		text, err := m.user.credentials(k.account.KeyPair)
		if err != nil {
			return err
		}
		s.add(false, m.file, m.what, string(text))
	}
	return nil
}

func (s *draft) fillCertificates(o *Options) error {
	authority, err := newCA(o.Prefix, caValidity)
	if err != nil {
		return err
	}
	key, err := formatKey(authority.key)
	if err != nil {
		return err
	}
	s.add(true, caKeyFile, "the key by which servers' certificates are made; needed for renewal", string(key))
	s.add(false, caFile, "for all: the authority that servers' certificates are checked against (public)", string(formatCertificate(authority.cert.Raw)))
	for i, server := range o.Servers {
		name := serverName(i)
		cert, key, err := authority.server(name, server.Hosts, o.Validity)
		if err != nil {
			return err
		}
		s.add(false, name+".pem", "for the NATS server "+name+": its certificate", string(cert))
		s.add(false, name+".key", "for the NATS server "+name+": its certificate's key", string(key))
		if len(o.Servers) == 1 {
			continue
		}
		if cert, key, err = authority.route(name, server.Hosts, o.Validity); err != nil {
			return err
		}
		s.add(false, name+"-route.pem", "for the NATS server "+name+": its certificate towards the others", string(cert))
		s.add(false, name+"-route.key", "for the NATS server "+name+": the key of that", string(key))
	}
	return nil
}

// write writes all files, or none.
func (s *draft) write() error {
	if there, err := os.ReadDir(s.Dir); err == nil && len(there) > 0 {
		return fmt.Errorf("%w: %s is not empty, and keys are not overwritten; choose another directory", ErrExists, s.Dir)
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("auth: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(s.Dir, offline), 0o700); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	if err := os.Chmod(s.Dir, 0o700); err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	for i, f := range s.Files {
		if err := writeNew(filepath.Join(s.Dir, f.Path), s.contents[i]); err != nil {
			for _, made := range s.Files[:i] {
				_ = os.Remove(filepath.Join(s.Dir, made.Path))
			}
			return err
		}
	}
	return nil
}

// writeNew writes a file that only its owner can read, and that is not there yet.
func writeNew(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %s, and keys are not overwritten", ErrExists, path)
	} else if err != nil {
		return fmt.Errorf("auth: %w", err)
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(path)
		return fmt.Errorf("auth: %w", err)
	}
	return nil
}

// String lists the files that were made, where each goes, and the next steps. It holds no secret.
func (s *Summary) String() string {
	b := &strings.Builder{}
	list := func(title string, offline bool) {
		fmt.Fprintf(b, "%s\n\n", title)
		for _, f := range s.Files {
			if f.Offline == offline {
				fmt.Fprintf(b, "  %-28s %s\n", f.Path, f.What)
			}
		}
		fmt.Fprintln(b)
	}
	fmt.Fprintf(b, "Keys, credentials, certificates and server configurations of an Askback cluster, in %s\n\n", s.Dir)
	list("Take these away, to where no server can read them. Whoever has them can do everything; without them no supervisor\n"+
		"or user can be added and no certificate renewed.", true)
	list("Give each of these to the one named, and to no other. All but those called public are secrets.", false)
	fmt.Fprintf(b, "Clients connect with --server %s --ca ca.pem --creds FILE\n", s.Servers)
	return b.String()
}
