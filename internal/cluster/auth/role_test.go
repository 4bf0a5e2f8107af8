package auth_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// Supervisors, nimbus and people may publish and read what their roles allow, and nothing else.
func TestRolesMay(t *testing.T) {
	y := newYard(t, 1)
	worker := y.worker(t, first, time.Hour, "count.1")
	inboxOf := func(u *natscluster.User) string { return natscluster.InboxPrefix(u.Key()) + ".abc" }
	nobody := []may{
		{listen, ">", false},
		{listen, "askback.>", false},
		{listen, "_INBOX.>", false},
		{listen, inboxOf(worker), false},
		{listen, "$JS.>", false},
		{listen, "$SYS.>", false},
		{publish, "askback.words-abcdefgh.data.split.0.count.1", false},
		{publish, "askback.words-abcdefgh.ctl.count.1.split.0", false},
		{publish, "askback.words-abcdefgh.log.count.1", false},
		{publish, p.WorkerHeartbeat(first), false},
		{publish, p.WorkerAPI(first, cluster.VerbRenew), false},
		{publish, p.Changed("lease"), false},
		{publish, "$SYS.REQ.SERVER.PING", false},
	}
	for who, rows := range map[string][]may{
		"nimbus": {
			{publish, "$KV.askback-cluster.topology.words", true},
			{publish, "$JS.API.STREAM.INFO.askback-words-abcdefgh", true},
			{publish, p.Worker(first, cluster.VerbCrash), true},
			{publish, p.Event("cluster"), true},
			{publish, inboxOf(worker), true},
			{listen, p.API(cluster.Operate, cluster.VerbKill), true},
			{listen, p.API(cluster.View, cluster.VerbList), true},
			{listen, p.HostAPI("*", cluster.VerbJoin), true},
			{listen, string(p) + ".api.worker.*.*.*.renew", true},
			{listen, p.WorkerHeartbeats("*"), true},
			{listen, p.HostHeartbeat("*"), true},
			{listen, p.Changed("lease"), true},
			{listen, "$SRV.PING.nimbus", true},
			{publish, p.HostHeartbeat("host-1"), false},
			{listen, "askback.*.data.>", false},
		},
		"supervisor-host-1": {
			{publish, p.HostHeartbeat("host-1"), true},
			{publish, p.HostAPI("host-1", cluster.VerbLogin), true},
			{publish, p.Worker(first, cluster.VerbAssign), true},
			{publish, p.Event(string(words)), true},
			{publish, p.Event("cluster"), true},
			{publish, "$JS.API.DIRECT.GET.KV_askback-cluster", true},
			{publish, "$JS.API.DIRECT.GET.OBJ_askback-artefacts", true},
			{publish, inboxOf(worker), true},
			{listen, p.WorkerHeartbeats("host-1"), true},
			{listen, p.Host("host-1", cluster.VerbLogs), true},
			{listen, p.Changed("topology.*"), true},
			{listen, "$SRV.INFO", true},
			{publish, p.HostHeartbeat("host-2"), false},
			{publish, p.HostAPI("host-2", cluster.VerbLogin), false},
			{publish, p.Worker(second, cluster.VerbAssign), false},
			{publish, p.Worker(first, cluster.VerbCrash), false},
			{publish, p.API(cluster.View, cluster.VerbList), false},
			{publish, p.API(cluster.Operate, cluster.VerbSubmit), false},
			{publish, "$KV.askback-cluster.topology.words", false},
			{publish, "$KV.askback-cluster.lease", false},
			{publish, "$O.askback-artefacts.M.x", false},
			{publish, "$JS.API.STREAM.PURGE.KV_askback-cluster", false},
			{publish, "$JS.API.STREAM.DELETE.KV_askback-cluster", false},
			{publish, "$JS.API.CONSUMER.CREATE.KV_askback-cluster.x", false},
			{publish, "$JS.API.CONSUMER.CREATE.OBJ_askback-artefacts.x", false},
			{publish, "$JS.API.STREAM.INFO.askback-words-abcdefgh", false},
			{publish, "$SRV.PING", false},
			{listen, p.WorkerHeartbeats("host-2"), false},
			{listen, p.WorkerHeartbeats("*"), false},
			{listen, p.Host("host-2", "*"), false},
			{listen, p.HostAPI("host-1", "*"), false},
			{listen, p.API(cluster.Operate, cluster.VerbSubmit), false},
			{listen, "askback.words-abcdefgh.data.>", false},
		},
		"view": {
			{publish, p.API(cluster.View, cluster.VerbExplain), true},
			{publish, p.Host("host-1", cluster.VerbLogs), true},
			{publish, p.API(cluster.Operate, cluster.VerbKill), false},
			{publish, p.API(cluster.Admin, cluster.VerbRemove), false},
			{publish, p.Host("host-1", "other"), false},
			{publish, p.HostHeartbeat("host-1"), false},
			{publish, p.HostAPI("host-1", cluster.VerbLogin), false},
			{publish, p.Worker(first, cluster.VerbAssign), false},
			{publish, "$KV.askback-cluster.topology.words", false},
			{publish, "$JS.API.DIRECT.GET.KV_askback-cluster", false},
			{publish, "$O.askback-artefacts.M.x", false},
			{publish, "$SRV.PING", false},
			{listen, "askback.words-abcdefgh.data.>", false},
			{listen, p.API(cluster.View, cluster.VerbList), false},
		},
		"operate": {
			{publish, p.API(cluster.View, cluster.VerbExplain), true},
			{publish, p.API(cluster.Operate, cluster.VerbKill), true},
			{publish, "$O.askback-artefacts.C.x", true},
			{listen, "askback.words-abcdefgh.data.split.*.count.*", true},
			{publish, p.API(cluster.Admin, cluster.VerbRemove), false},
			{publish, p.Worker(first, cluster.VerbAssign), false},
			{publish, p.HostHeartbeat("host-1"), false},
			{publish, "$KV.askback-cluster.topology.words", false},
			{publish, "$JS.API.CONSUMER.CREATE.OBJ_askback-artefacts.x", false},
			{publish, "$JS.API.STREAM.DELETE.OBJ_askback-artefacts", false},
			{publish, "$SRV.PING", false},
			{listen, "askback.words-abcdefgh.ctl.>", false},
			{listen, "askback.words-abcdefgh.log.>", false},
			{listen, p.WorkerHeartbeats("*"), false},
		},
		"admin": {
			{publish, p.API(cluster.View, cluster.VerbList), true},
			{publish, p.API(cluster.Operate, cluster.VerbKill), true},
			{publish, p.API(cluster.Admin, cluster.VerbRemove), true},
			{publish, "$SRV.PING", true},
			{publish, "$KV.askback-cluster.topology.words", false},
		},
	} {
		t.Run(who, func(t *testing.T) {
			c := y.as(t, who)
			table(t, c, rows)
			table(t, c, nobody)
		})
	}
}

// Nimbus makes the streams and leads; a supervisor receives its decisions.
func TestSupervisorReads(t *testing.T) {
	y := newYard(t, 1)
	nimbus, host := y.as(t, "nimbus"), y.as(t, "supervisor-host-1")
	if err := natscluster.Setup(t.Context(), nimbus.Conn, p, 1); err != nil {
		t.Fatal(err)
	}
	leader, err := natscluster.Campaign(t.Context(), nimbus.Conn, p, "n1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer leader.Close()
	r := &cluster.Record{Instance: words, Spec: cluster.Spec{Name: "words"}, Status: cluster.Active}
	if _, err := leader.PutRecord(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	reader, seen, ready := natscluster.OpenReader(host.Conn, p), make(chan cluster.Change, 10), make(chan struct{})
	done := make(chan error, 1)
	go func() { done <- reader.Watch(ctx, func(c cluster.Change) { seen <- c }, func() { close(ready) }) }()
	<-ready
	if c := <-seen; c.Name != "words" || c.Record == nil {
		t.Error(c)
	}
	if err := leader.DeleteRecord(ctx, "words"); err != nil {
		t.Fatal(err)
	}
	if c := <-seen; c.Name != "words" || c.Record != nil {
		t.Error(c)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	short, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if l, err := natscluster.Campaign(short, host.Conn, p, "host-1", 0); err == nil {
		l.Close()
		t.Error("a supervisor leads")
	} else if errors.Is(err, cluster.ErrDeposed) {
		t.Error(err)
	}
	for _, c := range []*client{nimbus, host} {
		select {
		case err := <-c.errors:
			if c == nimbus {
				t.Error(err)
			}
		default:
		}
	}
}
