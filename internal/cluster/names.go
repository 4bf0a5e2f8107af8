package cluster

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/askback/askback/msgid"
)

// MaxName is the length of the longest name of a submitted topology in bytes. An Instance is longer.
const MaxName = msgid.MaxName - 1 - suffixLen

// ErrName is an invalid name. The message names the rule.
var ErrName = errors.New("cluster: bad name")

// CheckName returns an error that names the rule unless name, of a thing such as "operator", is 1 to most of
// A-Z a-z 0-9 _ -. Every boundary checks the names that it receives: they become parts of subjects and of paths.
func CheckName(what, name string, most int) error {
	if len(name) > most || !msgid.ValidName(name) {
		return fmt.Errorf("%w: %s %.80q: want 1 to %d of A-Z a-z 0-9 _ -", ErrName, what, name, most)
	}
	return nil
}

// An Instance is one submission of a topology: its name, a dash, and eight random letters and digits.
type Instance string

const suffixLen = 8

// NewInstance returns a new instance of a topology.
func NewInstance(name string) Instance {
	var b [5]byte
	_, _ = rand.Read(b[:]) // it never fails
	return Instance(name + "-" + strings.ToLower(base32.StdEncoding.EncodeToString(b[:])))
}

// Name returns the topology's name, or "" if i is no instance.
func (i Instance) Name() string {
	if n := len(i) - suffixLen - 1; n > 0 && i[n] == '-' {
		return string(i[:n])
	}
	return ""
}

// Check returns an error if i is not well-formed.
func (i Instance) Check() error {
	if i.Name() == "" {
		return fmt.Errorf("%w: instance %.80q: want a topology's name, a dash and %d letters and digits", ErrName, string(i), suffixLen)
	}
	return CheckName("instance", string(i), msgid.MaxName)
}

// A WorkerSlot is a worker's place: an instance, and a slot of a supervisor. At most one worker is to run in it.
type WorkerSlot struct {
	Instance   Instance `json:"instance"`
	Supervisor string   `json:"supervisor"`
	Number     int      `json:"number"`
}

// Check returns an error if one of its names is invalid.
func (s WorkerSlot) Check() error {
	if err := s.Instance.Check(); err != nil {
		return err
	}
	if s.Number < 0 {
		return fmt.Errorf("%w: slot %d: want 0 or more", ErrName, s.Number)
	}
	return CheckName("supervisor", s.Supervisor, msgid.MaxName)
}

// String returns "host-1/0 wordcount-3k9x2m7q".
func (s WorkerSlot) String() string {
	return s.Supervisor + "/" + strconv.Itoa(s.Number) + " " + string(s.Instance)
}

// A Role is a set of rights of a user. Each includes those before it.
type Role uint8

// The roles.
const (
	View    Role = iota // list, describe, explain, logs
	Operate             // submit, kill, activate, deactivate, rebalance, restart, tap, level
	Admin               // requests that concern the cluster, not a topology
)

var roles = [...]string{"view", "operate", "admin"}

// String returns the role's name as it appears in subjects and credentials.
func (r Role) String() string { return roles[r] }

// ParseRole returns the role of that name.
func ParseRole(name string) (Role, error) {
	for i, n := range roles {
		if n == name {
			return Role(i), nil
		}
	}
	return 0, fmt.Errorf("%w: role %.80q: there are view, operate and admin", ErrName, name)
}

// Tag is the tag by which a user's JWT grants the role.
func (r Role) Tag() string { return "role:" + r.String() }
