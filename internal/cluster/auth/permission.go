package auth

import (
	"strconv"

	"github.com/nats-io/jwt/v2"

	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// inboxes are the subjects of all answers. A client that may publish there can answer requests; to forge an answer it
// would have to guess a random inbox. NATS's own way, allow_responses, is worse: it lets a client publish to whatever
// reply subject a message that it receives has, and a client can send such a message to itself.
const inboxes = "_INBOX.>"

// answers are where a request from another account is answered: the server makes up a random subject for each.
const answers = "_R_.>"

// WorkerPermissions lets a worker be its tasks, and nothing else. From, unless it is "", is the topology's previous
// instance, whose log the worker may read.
func WorkerPermissions(p natscluster.Subjects, key string, slot cluster.WorkerSlot, tasks []msgid.Alias, from cluster.Instance) jwt.Permissions {
	topology := string(p) + "." + string(slot.Instance) + "."
	log := natslog.StreamName(string(p), string(slot.Instance))
	publish := []string{
		"$JS.API.DIRECT.GET." + log,
		"$JS.API.DIRECT.GET." + log + ".>",
		p.WorkerHeartbeat(slot),
		p.WorkerAPI(slot, cluster.VerbRenew),
		p.Event(string(slot.Instance)),
		answers,
	}
	for _, api := range workerAPI {
		publish = append(publish, mapped(p, api, log))
	}
	if from != "" {
		old := natslog.StreamName(string(p), string(from))
		publish = append(publish, "$JS.API.DIRECT.GET."+old, "$JS.API.DIRECT.GET."+old+".>", mapped(p, "STREAM.INFO", old), mapped(p, "STREAM.MSG.GET", old))
	}
	subscribe := []string{inbox(key), p.Worker(slot, "*")}
	for _, task := range tasks {
		publish = append(publish,
			topology+"*."+task.String()+".*.*", // data, ctl and replay, from this task to any
			topology+"log."+task.String())
		subscribe = append(subscribe, topology+"*.*.*."+task.String())
	}
	return permissions(publish, subscribe)
}

// workerAPI lists the requests of workers to JetStream's API, besides direct gets.
var workerAPI = []string{"STREAM.INFO", "STREAM.MSG.GET", "STREAM.PURGE"}

// mapped returns the subject under which the workers' account has a request of JetStream's API. By its own name it
// would be answered there too, by an error: the account has no JetStream.
func mapped(p natscluster.Subjects, api, stream string) string {
	return string(p) + ".jetstream." + api + "." + stream
}

// SupervisorPermissions lets a supervisor read the decisions, fetch artefacts, and speak for itself and to its workers.
func SupervisorPermissions(p natscluster.Subjects, key, name string) jwt.Permissions {
	return permissions(
		append(append(reads("KV_"+p.Bucket()), reads("OBJ_"+p.Artefacts())...),
			p.HostHeartbeat(name),
			p.HostAPI(name, "*"),
			p.Event("*"),
			string(p)+".worker.*."+name+".*."+cluster.VerbAssign,
			inboxes),
		[]string{inbox(key), p.Host(name, "*"), p.WorkerHeartbeats(name), p.Changed(">"), services})
}

// NimbusPermissions lets a nimbus decide: it makes and deletes streams, writes the bucket, and answers requests. It may
// not publish tuples, nor the messages of workers and supervisors.
func NimbusPermissions(p natscluster.Subjects, key string) jwt.Permissions {
	return permissions(
		[]string{
			"$JS.API.>", "$JS.ACK.>", "$JS.FC.>",
			"$KV." + p.Bucket() + ".>",
			"$O." + p.Artefacts() + ".>",
			string(p) + ".worker.>",
			p.Host("*", "*"),
			p.Event("*"),
			inboxes, answers,
		},
		[]string{inbox(key), string(p) + ".api.>", string(p) + ".heartbeat.>", p.Changed(">"), services})
}

// RolePermissions lets a user request what the role allows.
func RolePermissions(p natscluster.Subjects, key string, role cluster.Role) jwt.Permissions {
	publish := []string{p.API(cluster.View, "*"), p.Host("*", cluster.VerbLogs)}
	subscribe := []string{inbox(key)}
	if role >= cluster.Operate {
		store := p.Artefacts()
		publish = append(publish, p.API(cluster.Operate, "*"), "$O."+store+".>", "$JS.API.STREAM.PURGE.OBJ_"+store)
		publish = append(publish, reads("OBJ_"+store)...)
		subscribe = append(subscribe, string(p)+".*.data.>") // tap
	}
	if role >= cluster.Admin {
		publish = append(publish, p.API(cluster.Admin, "*"), services)
	}
	return permissions(publish, subscribe)
}

// services is the subject of discovery requests to NATS services. They answer to any reply subject, with all their
// rights, so only some users may ask.
const services = "$SRV.>"

// inbox is where a user's answers arrive.
func inbox(key string) string { return natscluster.InboxPrefix(key) + ".>" }

// reads returns the subjects of requests that read a stream without a consumer. The right to make consumers would be
// the right to have the server deliver the stream's messages to any subject.
func reads(stream string) []string {
	return []string{
		"$JS.API.STREAM.INFO." + stream,
		"$JS.API.STREAM.MSG.GET." + stream,
		"$JS.API.DIRECT.GET." + stream,
		"$JS.API.DIRECT.GET." + stream + ".>",
	}
}

func permissions(publish, subscribe []string) jwt.Permissions {
	return jwt.Permissions{Pub: jwt.Permission{Allow: publish}, Sub: jwt.Permission{Allow: subscribe}}
}

// slotName is how servers show a worker.
func slotName(s cluster.WorkerSlot) string {
	return "worker " + string(s.Instance) + " " + s.Supervisor + "/" + strconv.Itoa(s.Number)
}
