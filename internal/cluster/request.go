package cluster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/msgid"
)

// Verbs of requests, with the role that they need, the request's type and the answer's type.
const (
	VerbSubmit     = "submit"     // Operate: SubmitRequest, Record
	VerbKill       = "kill"       // Operate: KillRequest, Record
	VerbActivate   = "activate"   // Operate: NameRequest, Record
	VerbDeactivate = "deactivate" // Operate: NameRequest, Record
	VerbRebalance  = "rebalance"  // Operate: RebalanceRequest, Record
	VerbRestart    = "restart"    // Operate: RestartRequest, Record
	VerbLevel      = "level"      // Operate: LevelRequest, Record
	VerbList       = "list"       // View: no request, ListReply
	VerbDescribe   = "describe"   // View: NameRequest, Description
	VerbExplain    = "explain"    // View: ExplainRequest, ExplainReply
	VerbRemove     = "remove"     // Admin: NameRequest of a supervisor that is gone, Host

	VerbJoin  = "join"  // a supervisor asks nimbus: Host, JoinReply
	VerbLogin = "login" // a supervisor asks nimbus for a worker: LoginRequest with the worker's key; LoginReply
	VerbRenew = "renew" // a worker asks nimbus for itself: LoginRequest; LoginReply

	// VerbLogs asks a supervisor: LogsRequest. The output comes to the reply subject: each message holds whole lines, each
	// with its line break, and an empty message ends them. A message with the header LogsAlive only tests whether the
	// reader still listens.
	VerbLogs = "logs"

	VerbAssign = "assign" // to a worker: Assignment. It is not answered: the next Heartbeat shows its revision
	VerbCrash  = "crash"  // to a worker: TaskRequest. The task ends as by a crash, and is restored
	VerbSpec   = "spec"   // to a worker: SpecRequest, Spec
)

// LogsAlive is the header of a message that holds no lines and does not end them: see VerbLogs.
const LogsAlive = "Askback-Alive"

// An ErrCode classifies a RequestError for programs.
type ErrCode string

// The codes.
const (
	CodeBadRequest  ErrCode = "400"
	CodeNotFound    ErrCode = "404"
	CodeConflict    ErrCode = "409" // it exists already, or its status forbids the request
	CodeUnavailable ErrCode = "503" // no leader or no room: try later
	CodeInternal    ErrCode = "500"
)

// A RequestError is the answer to a request that was refused.
type RequestError struct {
	Code ErrCode `json:"code"`
	Text string  `json:"text"`
}

func (e *RequestError) Error() string { return e.Text }

// ErrNoNimbus occurs when no answer comes: no nimbus runs or leads, or NATS is down. Running topologies go on.
var ErrNoNimbus = errors.New("cluster: no nimbus answers")

// A SubmitRequest asks to run a program, which is in the object store.
type SubmitRequest struct {
	Spec     Spec     `json:"spec"` // Spec.Name is the name of the submission
	Artefact Artefact `json:"artefact"`
	Args     []string `json:"args,omitempty"`
	Workers  int      `json:"workers"`
	Tags     []string `json:"tags,omitempty"`
	Inactive bool     `json:"inactive,omitempty"` // spouts emit nothing before activate
	// Resume asks that the topology of that name go on from its log with this program, in its present workers. Workers,
	// Tags and Inactive do not count then.
	Resume bool   `json:"resume,omitempty"`
	Nonce  string `json:"nonce"` // identifies the submission: a repeated request has the same
}

// Bounds of a request.
const (
	maxWorkers  = 10_000
	maxArgs     = 1000
	maxArgSize  = 64 << 10 // bytes of all arguments
	maxWait     = 24 * time.Hour
	maxLevelFor = 24 * time.Hour
)

// Check returns an error that names the rule which an invalid submission breaks.
func (q *SubmitRequest) Check() error {
	if err := q.Spec.Check(); err != nil {
		return err
	}
	if err := CheckName("nonce", q.Nonce, msgid.MaxName); err != nil {
		return err
	}
	if err := q.Artefact.Check(); err != nil {
		return err
	}
	if err := checkWorkers(q.Workers); err != nil {
		return err
	}
	if err := checkTags(q.Tags); err != nil {
		return err
	}
	size := 0
	for _, arg := range q.Args {
		if size += len(arg); strings.ContainsRune(arg, 0) {
			return fmt.Errorf("cluster: argument %.80q holds a zero byte", arg)
		}
	}
	if len(q.Args) > maxArgs || size > maxArgSize {
		return fmt.Errorf("cluster: %d arguments of %d bytes: want at most %d of %d; put more into a file", len(q.Args), size, maxArgs, maxArgSize)
	}
	return nil
}

func checkWorkers(n int) error {
	if n < 0 || n > maxWorkers {
		return fmt.Errorf("cluster: %d workers: want 1 to %d", n, maxWorkers)
	}
	return nil
}

// A NameRequest names its topology or supervisor.
type NameRequest struct {
	Name string `json:"name"`
}

// A KillRequest asks to end a topology: its spouts at once, its workers and its log after Wait.
type KillRequest struct {
	Name string        `json:"name"`
	Wait time.Duration `json:"wait"`
}

// Check returns an error unless Wait is valid.
func (q *KillRequest) Check() error {
	if q.Wait < 0 || q.Wait > maxWait {
		return fmt.Errorf("cluster: wait %v: want 0 to %v", q.Wait, maxWait)
	}
	return nil
}

// A RebalanceRequest asks to place a topology afresh.
type RebalanceRequest struct {
	Name    string `json:"name"`
	Workers int    `json:"workers,omitempty"` // 0: as many as before
	// Parallel gives stateless operators other numbers of tasks. The topology quiesces for that, and goes on as another
	// instance. When the request is answered this has only begun: Record.Rescale is set until it is done or given up;
	// Record.Reason then says why.
	Parallel map[string]int `json:"parallel,omitempty"`
}

// Check returns an error unless the numbers of workers and of tasks are valid.
func (q *RebalanceRequest) Check() error {
	if err := checkWorkers(q.Workers); err != nil {
		return err
	}
	return CheckParallelism(q.Parallel)
}

// A SpecRequest asks for the Spec that a program would have with other numbers of tasks.
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

// A LevelRequest asks workers to log at another level for a while.
type LevelRequest struct {
	Name  string        `json:"name"`
	Level string        `json:"level"`
	For   time.Duration `json:"for"` // 0: 10 minutes
}

// Levels are the names of levels, from the most to the least verbose.
var Levels = []string{"debug", "info", "warn", "error"}

// Check returns an error unless the level and the time are valid.
func (q *LevelRequest) Check() error {
	if !slices.Contains(Levels, q.Level) {
		return fmt.Errorf("cluster: level %.20q: want one of %s", q.Level, strings.Join(Levels, ", "))
	}
	if q.For < 0 || q.For > maxLevelFor {
		return fmt.Errorf("cluster: level %s for %v: want at most %v", q.Level, q.For, maxLevelFor)
	}
	return nil
}

// An ExplainRequest asks for the newest events of a topology, at most Limit.
type ExplainRequest struct {
	Name  string `json:"name"`            // "" is the cluster itself
	Limit int    `json:"limit,omitempty"` // 0: 1000
}

// An ExplainReply holds events, oldest first.
type ExplainReply struct {
	Events  []Event      `json:"events"`
	Lost    []LostTuples `json:"lost,omitempty"`    // of operators that have lost any
	Failure *Failure     `json:"failure,omitempty"` // the error that failed the topology
}

// A ListReply summarises the cluster.
type ListReply struct {
	Leader     string        `json:"leader"`
	Epoch      uint64        `json:"epoch"`
	Topologies []Summary     `json:"topologies"`
	Hosts      []HostSummary `json:"supervisors"`
}

// A Summary summarises one topology.
type Summary struct {
	Name      string       `json:"name"`
	Instance  Instance     `json:"instance"`
	Status    Status       `json:"status"`
	Reason    string       `json:"reason,omitempty"`
	Submitted time.Time    `json:"submitted"`
	Workers   int          `json:"workers"`
	Tasks     int          `json:"tasks"`
	Healthy   int          `json:"healthy"` // tasks that have not failed, in workers that send heartbeats
	Shortage  string       `json:"shortage,omitempty"`
	Lost      []LostTuples `json:"lost,omitempty"`    // of operators that have lost any
	Failure   *Failure     `json:"failure,omitempty"` // the error that failed it
}

// A HostSummary summarises one supervisor.
type HostSummary struct {
	Host          Host      `json:"host"`
	State         string    `json:"state"` // up, silent
	LastHeartbeat time.Time `json:"last_heartbeat,omitzero"`
	Used          int       `json:"used"` // slots
	Workers       []Process `json:"workers,omitempty"`
}

// A Description is one topology, with the state of each of its workers and tasks.
type Description struct {
	Record  Record         `json:"record"`
	Workers []WorkerStatus `json:"workers"`
	Lost    []LostTuples   `json:"lost,omitempty"` // of operators that have lost any
}

// A WorkerStatus is the state of a worker.
type WorkerStatus struct {
	Slot          WorkerSlot    `json:"slot"`
	Tasks         []msgid.Alias `json:"tasks"` // that it is to run
	State         string        `json:"state"` // running, starting, silent, or the state that its supervisor reports
	LastHeartbeat time.Time     `json:"last_heartbeat,omitzero"`
	Heartbeat     *Heartbeat    `json:"heartbeat,omitempty"`
	Process       *Process      `json:"process,omitempty"`
}

// A JoinReply holds the settings that nimbus gives to a supervisor.
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
