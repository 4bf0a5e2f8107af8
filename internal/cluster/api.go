package cluster

import (
	"errors"
	"time"

	"github.com/askback/askback/msgid"
)

// Verbs of requests to nimbus, with the role that they need and what they carry.
const (
	VerbSubmit     = "submit"     // Operate: SubmitRequest, Record
	VerbKill       = "kill"       // Operate: KillRequest, Record
	VerbActivate   = "activate"   // Operate: NameRequest, Record
	VerbDeactivate = "deactivate" // Operate: NameRequest, Record
	VerbRebalance  = "rebalance"  // Operate: RebalanceRequest, Record
	VerbRestart    = "restart"    // Operate: RestartRequest, Record
	VerbLevel      = "level"      // Operate: LevelRequest, Record
	VerbList       = "list"       // View: nothing, ListReply
	VerbDescribe   = "describe"   // View: NameRequest, Description
	VerbExplain    = "explain"    // View: ExplainRequest, ExplainReply
	VerbRemove     = "remove"     // Admin: NameRequest of a supervisor that is gone, Host

	VerbJoin  = "join"  // of a supervisor: Host, JoinReply
	VerbLogin = "login" // of a supervisor for a worker, LoginRequest with its key; LoginReply
	VerbRenew = "renew" // of a worker for itself: LoginRequest; LoginReply

	// Requests to a supervisor.
	//
	// VerbLogs: LogsRequest. What is asked for comes to the reply subject: each message holds whole lines, each with its
	// line break, and an empty one ends them. One with the header LogsAlive only asks whether somebody still listens.
	VerbLogs = "logs"
	// Requests to a worker.
	VerbAssign = "assign" // Order, not answered: the next Heartbeat shows it
	VerbCrash  = "crash"  // TaskRequest: the task is ended as by a crash, and restored
	VerbSpec   = "spec"   // SpecRequest, Spec: what its program would be with other numbers of tasks
)

// LogsAlive is the header of a message that is neither lines nor their end: see VerbLogs.
const LogsAlive = "Askback-Alive"

// ErrCode is what an error of a request says to a program, in the service API's Nats-Service-Error-Code.
type ErrCode string

// The codes.
const (
	CodeBadRequest  ErrCode = "400"
	CodeNotFound    ErrCode = "404"
	CodeConflict    ErrCode = "409" // it exists, or is not in a state for this
	CodeUnavailable ErrCode = "503" // no leader, no slot: try later
	CodeInternal    ErrCode = "500"
)

// A RequestError is an error that a request was answered with.
type RequestError struct {
	Code ErrCode `json:"code"`
	Text string  `json:"text"`
}

func (e *RequestError) Error() string { return e.Text }

// Errors of requests, for errors.Is.
var (
	// ErrNoNimbus: nobody answers. No nimbus runs or leads, or NATS is not there. What runs goes on.
	ErrNoNimbus = errors.New("cluster: no nimbus answers")
	// ErrExists: a topology of that name is there already.
	ErrExists = errors.New("cluster: exists")
	// ErrUnknownTopology: there is no topology of that name.
	ErrUnknownTopology = errors.New("cluster: no such topology")
)

// A SubmitRequest asks to run a topology, whose artefact is in the object store.
type SubmitRequest struct {
	Spec     Spec     `json:"spec"` // Spec.Name is the name of the submission
	Artefact Artefact `json:"artefact"`
	Args     []string `json:"args,omitempty"`
	Workers  int      `json:"workers"`
	Tags     []string `json:"tags,omitempty"`
	Inactive bool     `json:"inactive,omitempty"` // wait for activate
	Nonce    string   `json:"nonce"`              // of this submission: one that is repeated because its answer was lost is the same
}

// A NameRequest names what it concerns.
type NameRequest struct {
	Name string `json:"name"`
}

// A KillRequest asks to end a topology: its spouts at once, its workers and its log after Wait.
type KillRequest struct {
	Name string        `json:"name"`
	Wait time.Duration `json:"wait"`
}

// A RebalanceRequest asks to place a topology afresh.
type RebalanceRequest struct {
	Name    string `json:"name"`
	Workers int    `json:"workers,omitempty"` // 0: as many as before
	// Parallel are other numbers of tasks, of operators that keep nothing. The topology comes to a standstill for that,
	// and goes on as another instance. It has begun when this is answered: Record.Rescale says so until it is done, or
	// given up, which Record.Reason then says.
	Parallel map[string]int `json:"parallel,omitempty"`
}

// A SpecRequest asks what a program would be with other numbers of tasks.
type SpecRequest struct {
	Parallel map[string]int `json:"parallel"`
}

// A RestartRequest asks to end one task as by a crash.
type RestartRequest struct {
	Name string      `json:"name"`
	Task msgid.Alias `json:"task"`
}

// A TaskRequest names a task.
type TaskRequest struct {
	Task msgid.Alias `json:"task"`
}

// A LevelRequest asks that workers log as much as Level says for a while.
type LevelRequest struct {
	Name  string        `json:"name"`
	Level string        `json:"level"`
	For   time.Duration `json:"for"`
}

// An ExplainRequest asks for the newest events of a topology, at most Limit.
type ExplainRequest struct {
	Name  string `json:"name"`            // "" is the cluster itself
	Limit int    `json:"limit,omitempty"` // 0: 1000
}

// An ExplainReply holds events, oldest first.
type ExplainReply struct {
	Events []Event `json:"events"`
}

// A ListReply is the cluster at a glance.
type ListReply struct {
	Leader     string        `json:"leader"`
	Epoch      uint64        `json:"epoch"`
	Topologies []Summary     `json:"topologies"`
	Hosts      []HostSummary `json:"supervisors"`
}

// A Summary is one topology at a glance.
type Summary struct {
	Name      string    `json:"name"`
	Instance  Instance  `json:"instance"`
	Status    Status    `json:"status"`
	Reason    string    `json:"reason,omitempty"`
	Submitted time.Time `json:"submitted"`
	Workers   int       `json:"workers"`
	Tasks     int       `json:"tasks"`
	Healthy   int       `json:"healthy"` // tasks of workers that are heard, and that have not failed
	Shortage  string    `json:"shortage,omitempty"`
}

// A HostSummary is one supervisor at a glance.
type HostSummary struct {
	Host          Host      `json:"host"`
	State         string    `json:"state"` // up, silent
	LastHeartbeat time.Time `json:"last_heartbeat,omitzero"`
	Used          int       `json:"used"` // slots
	Workers       []Process `json:"workers,omitempty"`
}

// A Description is one topology, and how each of its workers and tasks stands.
type Description struct {
	Record  Record         `json:"record"`
	Workers []WorkerStatus `json:"workers"`
}

// A WorkerStatus is how a worker stands.
type WorkerStatus struct {
	Slot          WorkerSlot    `json:"slot"`
	Tasks         []msgid.Alias `json:"tasks"` // that it is to run
	State         string        `json:"state"` // running, starting, silent, or what its supervisor says
	LastHeartbeat time.Time     `json:"last_heartbeat,omitzero"`
	Heartbeat     *Heartbeat    `json:"heartbeat,omitempty"`
	Process       *Process      `json:"process,omitempty"`
}

// A JoinReply says what a supervisor is to know.
type JoinReply struct {
	Detection time.Duration `json:"detection"`
}

// A LoginRequest asks for a JWT of a worker's key.
type LoginRequest struct {
	Slot WorkerSlot `json:"slot"`
	Key  string     `json:"key"` // public nkey
}

// A LoginReply has the JWT; it is empty in an open cluster.
type LoginReply struct {
	JWT     string    `json:"jwt,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// A LogsRequest asks a supervisor for the output of a worker.
type LogsRequest struct {
	Instance Instance `json:"instance"`
	Slot     int      `json:"slot"`
	Task     string   `json:"task,omitempty"` // only lines of this task
	Tail     int      `json:"tail"`           // at most that many of the newest lines; 0: 100
	Follow   bool     `json:"follow,omitempty"`
}
