package natscluster

import (
	"strconv"

	"github.com/askback/askback/internal/cluster"
)

// DefaultPrefix begins all subjects, streams and buckets unless a configuration sets another.
const DefaultPrefix = "askback"

// Subjects makes the subjects of a cluster. Its value is the prefix. Names that are passed to its methods have been
// checked; "*" may stand for one in a subscription.
type Subjects string

// API returns the subject of a user's request to nimbus: "askback.api.operate.kill".
func (p Subjects) API(role cluster.Role, verb string) string {
	return string(p) + ".api." + role.String() + "." + verb
}

// HostAPI returns the subject of a supervisor's request to nimbus.
func (p Subjects) HostAPI(supervisor, verb string) string {
	return string(p) + ".api.host." + supervisor + "." + verb
}

// WorkerAPI returns the subject of a worker's request to nimbus.
func (p Subjects) WorkerAPI(s cluster.WorkerSlot, verb string) string {
	return string(p) + ".api.worker." + tokens(s) + "." + verb
}

// WorkerAPIs returns the subject of any worker's request to nimbus, for a subscription.
func (p Subjects) WorkerAPIs(verb string) string { return string(p) + ".api.worker.*.*.*." + verb }

// Host returns the subject of a request to a supervisor.
func (p Subjects) Host(supervisor, verb string) string {
	return string(p) + ".host." + supervisor + "." + verb
}

// HostHeartbeat returns the subject of a supervisor's heartbeats.
func (p Subjects) HostHeartbeat(supervisor string) string {
	return string(p) + ".heartbeat.host." + supervisor
}

// WorkerHeartbeat returns the subject of a worker's heartbeats.
func (p Subjects) WorkerHeartbeat(s cluster.WorkerSlot) string {
	return string(p) + ".heartbeat.worker." + tokens(s)
}

// WorkerHeartbeats returns the subject of the heartbeats of all workers of a supervisor; "*" is every supervisor.
func (p Subjects) WorkerHeartbeats(supervisor string) string {
	return string(p) + ".heartbeat.worker.*." + supervisor + ".*"
}

// Worker returns the subject of an assignment or a request to a worker.
func (p Subjects) Worker(s cluster.WorkerSlot, verb string) string {
	return string(p) + ".worker." + tokens(s) + "." + verb
}

// Event returns the subject of events of an instance, or of cluster.ClusterEvents.
func (p Subjects) Event(of string) string { return string(p) + ".event." + of }

// Bucket returns the name of the key-value bucket of records.
func (p Subjects) Bucket() string { return string(p) + "-cluster" }

// Changed returns the subject on which the server hints that a key of the bucket has been written. A hint has no value,
// and may be lost.
func (p Subjects) Changed(key string) string { return string(p) + ".changed." + key }

// Artefacts returns the name of the object store of artefacts.
func (p Subjects) Artefacts() string { return string(p) + "-artefacts" }

// Events returns the name of the stream of events.
func (p Subjects) Events() string { return string(p) + "-events" }

func tokens(s cluster.WorkerSlot) string {
	return string(s.Instance) + "." + s.Supervisor + "." + strconv.Itoa(s.Number)
}
