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

// DefaultPrefix begins all subjects, streams and buckets unless a configuration says otherwise.
const DefaultPrefix = "askback"

// MaxName is the length of the longest name of a submitted topology in bytes: an Instance adds to it.
const MaxName = msgid.MaxName - 1 - suffixLen

// ErrName: a name that cannot be one. The message names the rule.
var ErrName = errors.New("cluster: bad name")

// CheckName returns an error that names the rule if a name, of what is said, is not 1 to most of A-Z a-z 0-9 _ -.
// Every boundary checks the names that it is given: they become parts of subjects and of paths.
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

// Check returns an error if i cannot be an instance.
func (i Instance) Check() error {
	if i.Name() == "" {
		return fmt.Errorf("%w: instance %.80q: want a topology's name, a dash and %d letters and digits", ErrName, string(i), suffixLen)
	}
	return CheckName("instance", string(i), msgid.MaxName)
}

// A WorkerSlot is a worker's place: an instance, and a slot of a supervisor. At most one worker is to be in a slot.
type WorkerSlot struct {
	Instance   Instance `json:"instance"`
	Supervisor string   `json:"supervisor"`
	Number     int      `json:"number"`
}

// Check returns an error if one of a slot's names cannot be one.
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

func (s WorkerSlot) tokens() string {
	return string(s.Instance) + "." + s.Supervisor + "." + strconv.Itoa(s.Number)
}

// Subjects makes the subjects of a cluster. Its value is the prefix. The names that it is given have been checked; "*"
// may stand for one in a subscription.
type Subjects string

// API returns where nimbus hears a request: "askback.api.operate.kill".
func (p Subjects) API(role Role, verb string) string {
	return string(p) + ".api." + role.String() + "." + verb
}

// HostAPI returns where nimbus hears a request of a supervisor.
func (p Subjects) HostAPI(supervisor, verb string) string {
	return string(p) + ".api.host." + supervisor + "." + verb
}

// WorkerAPI returns where nimbus hears a request of a worker.
func (p Subjects) WorkerAPI(s WorkerSlot, verb string) string {
	return string(p) + ".api.worker." + s.tokens() + "." + verb
}

// WorkerAPIs returns where nimbus hears a request of any worker.
func (p Subjects) WorkerAPIs(verb string) string { return string(p) + ".api.worker.*.*.*." + verb }

// Host returns where a supervisor hears a request.
func (p Subjects) Host(supervisor, verb string) string {
	return string(p) + ".host." + supervisor + "." + verb
}

// HostHeartbeat returns where a supervisor tells how it stands.
func (p Subjects) HostHeartbeat(supervisor string) string {
	return string(p) + ".heartbeat.host." + supervisor
}

// WorkerHeartbeat returns where a worker tells how it stands.
func (p Subjects) WorkerHeartbeat(s WorkerSlot) string {
	return string(p) + ".heartbeat.worker." + s.tokens()
}

// WorkerHeartbeats returns where all workers of a supervisor tell how they stand; "*" is every supervisor.
func (p Subjects) WorkerHeartbeats(supervisor string) string {
	return string(p) + ".heartbeat.worker.*." + supervisor + ".*"
}

// Worker returns where a worker hears an order or a request.
func (p Subjects) Worker(s WorkerSlot, verb string) string {
	return string(p) + ".worker." + s.tokens() + "." + verb
}

// Event returns where events of an instance are kept, or those of no topology if it is "cluster".
func (p Subjects) Event(of string) string { return string(p) + ".event." + of }

// Bucket returns the name of the key-value bucket of records.
func (p Subjects) Bucket() string { return string(p) + "-cluster" }

// Changed returns where the server hints that a key of the bucket has been written: without its value, and not for sure.
func (p Subjects) Changed(key string) string { return string(p) + ".changed." + key }

// Artefacts returns the name of the object store of artefacts.
func (p Subjects) Artefacts() string { return string(p) + "-artefacts" }

// Events returns the name of the stream of events.
func (p Subjects) Events() string { return string(p) + "-events" }

// A Role is what a user may do. Each includes those before it.
type Role uint8

// The roles.
const (
	View    Role = iota // list, describe, explain, logs
	Operate             // submit, kill, activate, deactivate, rebalance, restart, tap, level
	Admin               // what concerns the cluster, not a topology
)

var roles = [...]string{"view", "operate", "admin"}

// String returns the role's name as it stands in subjects and credentials.
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
