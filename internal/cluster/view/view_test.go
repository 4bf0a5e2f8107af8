package view_test

import (
	"encoding/json"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/view"
	"github.com/askback/askback/msgid"
)

var (
	at       = time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	instance = cluster.Instance("words-3k9x2m7q")
	failure  = &cluster.Failure{Task: msgid.Alias{Operator: "split", Index: 1}, MessageID: "lines.0>split.1#42", Tuple: `line="x"`, Cause: "no"}
	lost     = []cluster.LostTuples{{Operator: "split", Dead: 2, Dropped: 5}}
)

func alias(operator string, index int) msgid.Alias {
	return msgid.Alias{Operator: operator, Index: index}
}

func record() cluster.Record {
	return cluster.Record{
		Instance: instance, Status: cluster.Failed, Since: at, Submitted: at, Reason: "it failed", Failure: failure, Durability: "process", Workers: 1,
		Artefact: cluster.Artefact{SHA256: "ab", Size: 9}, Level: cluster.Level{Name: "debug", Until: at},
		Spec: cluster.Spec{
			Name: "words", Plan: 0xabc, Strategy: "backtrack",
			Operators: []cluster.Operator{{Name: "lines", Spout: true, Parallel: 1}, {Name: "split", Parallel: 2, CPU: 50}},
			Edges:     []cluster.Edge{{From: "lines", To: "split", Grouping: "shuffle", Targets: 2}},
		},
		Placement: []cluster.Placement{{Supervisor: "a", Slot: 3, Tasks: []msgid.Alias{alias("lines", 0), alias("split", 0), alias("split", 1)}}},
		Rescale:   &cluster.Rescale{Instance: "words-aaaaaaaa", Since: at, Spec: cluster.Spec{Operators: []cluster.Operator{{Name: "lines", Parallel: 4}}}},
	}
}

func description() *cluster.Description {
	slot := cluster.WorkerSlot{Instance: instance, Supervisor: "a", Number: 3}
	return &cluster.Description{Record: record(), Lost: lost, Workers: []cluster.WorkerStatus{{
		Slot: slot, State: "running", LastHeartbeat: at, Tasks: []msgid.Alias{alias("split", 1), alias("lines", 0)},
		Process: &cluster.Process{Slot: slot, PID: 17, Restarts: 2, Limits: "none"},
		Heartbeat: &cluster.Heartbeat{PID: 17, Memory: 100, Sent: 7, Started: at, Tasks: []cluster.Task{
			{Alias: alias("split", 1), State: cluster.StateFailed, Incarnation: 2, Dead: 2, Dropped: 5, Failure: failure, Error: "no", Retained: 10, Counters: cluster.Counters{Consumed: 41}},
			{Alias: alias("split", 0), State: "running"}, // of an earlier assignment
		}},
	}}}
}

func events() *cluster.ExplainReply {
	slot := cluster.WorkerSlot{Instance: instance, Supervisor: "a"}
	return &cluster.ExplainReply{Lost: lost, Failure: failure, Events: []cluster.Event{
		{At: at, Kind: cluster.LeaderChanged, Text: "m leads"},
		{At: at, Kind: cluster.TaskRecovered, Instance: instance, Slot: &slot, Task: "split.1", Text: "back", Recovery: &cluster.Recovery{
			Alias: alias("split", 1), Incarnation: 2, Cause: "killed", Asked: "lines.0>split.1#1-9,12 a.0>b.0#3", Missed: 10, Replayed: 10, Detect: 3, Start: 150, Took: 153,
		}},
	}}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// The forms are a contract, so they are written out.
func TestForms(t *testing.T) {
	const failed = `{"operator":"split","task":"split.1","message_id":"lines.0>split.1#42","tuple":"line=\"x\"","cause":"no"}`
	const topology = `{"name":"words","instance":"words-3k9x2m7q","status":"failed","status_changed_at":"2026-11-21T08:00:00Z","reason":"it failed","failure":` + failed + `,` +
		`"submitted_at":"2026-11-21T08:00:00Z","plan":"0000000000000abc","strategy":"backtrack","durability":"process","program":{"sha256":"ab","size_bytes":9},` +
		`"workers":1,"dead_tuples":2,"dropped_tuples":5,"operators":[{"name":"lines","kind":"spout","tasks":1,"dead_tuples":0,"dropped_tuples":0},` +
		`{"name":"split","kind":"bolt","tasks":2,"cpu_percent":50,"dead_tuples":2,"dropped_tuples":5}],"edges":[{"from":"lines","to":"split","grouping":"shuffle"}],` +
		`"placement":[{"supervisor":"a","slot":3,"tasks":["lines.0","split.0","split.1"]}],"log_level":{"name":"debug","ends_at":"2026-11-21T08:00:00Z"},` +
		`"rescale":{"instance":"words-aaaaaaaa","began_at":"2026-11-21T08:00:00Z","tasks":{"lines":4}}}`
	list := &cluster.ListReply{
		Leader: "m", Epoch: 3,
		Topologies: []cluster.Summary{{Name: "words", Instance: instance, Status: cluster.Active, Submitted: at, Workers: 1, Tasks: 3, Healthy: 2, Lost: lost}},
		Hosts: []cluster.HostSummary{{Host: cluster.Host{Name: "a", Slots: 4, Joined: at, Runtime: "1"}, State: "up", Used: 1,
			Workers: []cluster.Process{{Slot: cluster.WorkerSlot{Instance: instance, Supervisor: "a", Number: 3}, State: cluster.ProcessRunning, PID: 17}}}},
	}
	r := record() // of a topology that is not complete: its losses are not known
	unknown := strings.NewReplacer(`"dead_tuples":2,"dropped_tuples":5,`, "", `,"dead_tuples":0,"dropped_tuples":0`, "", `,"dead_tuples":2,"dropped_tuples":5`, "").Replace(topology)
	for _, c := range []struct {
		got  any
		want string
	}{
		{view.OfRecord(&r), unknown},
		{view.OfList(list), `{"leader":"m","epoch":3,"topologies":[{"name":"words","instance":"words-3k9x2m7q","status":"active","submitted_at":"2026-11-21T08:00:00Z",` +
			`"workers":1,"tasks":3,"healthy_tasks":2,"dead_tuples":2,"dropped_tuples":5,"losses":[{"operator":"split","dead_tuples":2,"dropped_tuples":5}]}],"supervisors":[{"name":"a","state":"up","slots":4,"used_slots":1,` +
			`"joined_at":"2026-11-21T08:00:00Z","processes":[{"instance":"words-3k9x2m7q","slot":3,"state":"running","pid":17,"restarts":0}]}]}`},
		{view.OfList(&cluster.ListReply{}), `{"leader":"","epoch":0,"topologies":[],"supervisors":[]}`},
		{view.OfDescription(description()), `{"topology":` + topology + `,"workers":[{"supervisor":"a","slot":3,"state":"running","pid":17,"started_at":"2026-11-21T08:00:00Z",` +
			`"last_heartbeat_at":"2026-11-21T08:00:00Z","memory_bytes":100,"sent_messages":7,"restarts":2,"limits":"none","tasks":["split.1","lines.0"]}],` +
			`"tasks":[{"task":"lines.0","supervisor":"a","slot":3,"state":"unknown","incarnation":0,"restarts":0,"consumed":0,"emitted":0,"missed":0,"replayed":0,"duplicates":0,` +
			`"dead_tuples":0,"dropped_tuples":0,"snapshots":0,"retained_bytes":0},{"task":"split.1","supervisor":"a","slot":3,"state":"failed","incarnation":2,"restarts":0,` +
			`"consumed":41,"emitted":0,"missed":0,"replayed":0,"duplicates":0,"dead_tuples":2,"dropped_tuples":5,"snapshots":0,"retained_bytes":10,"error":"no","failure":` + failed + `}]}`},
		{view.OfEvents("words", events()), `{"topology":"words","dead_tuples":2,"dropped_tuples":5,"losses":[{"operator":"split","dead_tuples":2,"dropped_tuples":5}],` +
			`"failure":` + failed + `,"events":[{"at":"2026-11-21T08:00:00Z","kind":"leader","text":"m leads"},` +
			`{"at":"2026-11-21T08:00:00Z","kind":"recovered","instance":"words-3k9x2m7q","supervisor":"a","slot":0,"task":"split.1","text":"back","recovery":` +
			`{"task":"split.1","incarnation":2,"cause":"killed","asked":["lines.0>split.1#1-9,12","a.0>b.0#3"],"missed":10,"replayed":10,"reprocessed":0,"duplicates":0,` +
			`"detect_seconds":0.003,"start_seconds":0.15,"load_seconds":0,"replay_seconds":0,"total_seconds":0.153}}]}`},
		{view.OfEvents("", &cluster.ExplainReply{}), `{"dead_tuples":0,"dropped_tuples":0,"losses":[],"events":[]}`},
	} {
		var got strings.Builder
		e := json.NewEncoder(&got)
		e.SetEscapeHTML(false)
		if err := e.Encode(c.got); err != nil || got.String() != c.want+"\n" {
			t.Errorf("%T: %v\n%s\nwant\n%s", c.got, err, got.String(), c.want)
		}
	}
}

// fill sets all that a value holds to something: each slice and map has one element.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("x")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(2)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(2)
	case reflect.Float32, reflect.Float64:
		v.SetFloat(2)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		k, e := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(k)
		fill(e)
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(k, e)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(at))
			return
		}
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				fill(v.Field(i))
			}
		}
	}
}

// filled returns a value that fill has set.
func filled[T any]() *T {
	v := new(T)
	fill(reflect.ValueOf(v).Elem())
	return v
}

// empty returns the paths of what a view does not show, but for those given.
func empty(v reflect.Value, path string, but ...string) (all []string) {
	switch {
	case slices.Contains(but, path):
	case v.IsZero() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0:
		all = append(all, path)
	case v.Kind() == reflect.Pointer:
		all = empty(v.Elem(), path, but...)
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			all = append(all, empty(v.Index(i), path, but...)...)
		}
	case v.Kind() == reflect.Struct && v.Type().PkgPath() == reflect.TypeFor[view.List]().PkgPath():
		for i := range v.NumField() {
			all = append(all, empty(v.Field(i), path+"."+v.Type().Field(i).Name, but...)...)
		}
	}
	return all
}

// Every field of a view is set from what it is made of.
func TestEveryFieldIsSet(t *testing.T) {
	d := filled[cluster.Description]()
	d.Record.Spec.Operators[0].Parallel = 3 // the task x.2 is one of them
	completed := filled[cluster.Record]()
	completed.Status = cluster.Completed // its losses are known
	for _, c := range []struct {
		view any
		but  []string
	}{
		{view.OfList(filled[cluster.ListReply]()), nil},
		{view.OfDescription(d), nil},
		{view.OfRecord(completed), nil},
		{view.OfEvents("words", filled[cluster.ExplainReply]()), []string{".Events.Recovery.AskedMore"}},
	} {
		if all := empty(reflect.ValueOf(c.view), "", c.but...); len(all) > 0 {
			t.Errorf("%T does not set %s", c.view, strings.Join(all, ", "))
		}
	}
}

// A set that events have cut short loses its last, partial channel, and the view marks it.
func TestAskedIsCutShort(t *testing.T) {
	e := events().Events[1]
	e.Recovery.Asked = strings.Repeat("lines.0>split.1#1-9 ", 10_000)
	e.Shorten()
	r := view.OfEvent(&e).Recovery
	if !r.AskedMore || len(r.Asked) < 1000 {
		t.Fatalf("%d channels, more: %v", len(r.Asked), r.AskedMore)
	}
	for _, set := range r.Asked {
		if _, err := msgid.ParseSet(set); err != nil || set != "lines.0>split.1#1-9" {
			t.Fatalf("%q, %v", set, err)
		}
	}
}

// Every field of every view keeps the rules of the package.
func TestRules(t *testing.T) {
	seen := map[reflect.Type]bool{}
	name := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	var visit func(reflect.Type)
	visit = func(v reflect.Type) {
		for slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map}, v.Kind()) {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || seen[v] || v == reflect.TypeFor[time.Time]() || v == reflect.TypeFor[msgid.Alias]() {
			return
		}
		seen[v] = true
		if v.PkgPath() != reflect.TypeFor[view.List]().PkgPath() {
			t.Errorf("%v is an internal type", v)
		}
		for i := range v.NumField() {
			f := v.Field(i)
			key, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			timed := f.Type == reflect.TypeFor[time.Time]()
			switch {
			case !name.MatchString(key):
				t.Errorf("%v.%s is %q in JSON, which is not in snake_case", v, f.Name, key)
			case timed != (key == "at" || strings.HasSuffix(key, "_at")):
				t.Errorf("%v.%s: times, and only they, end in _at: %q", v, f.Name, key)
			case (f.Type.Kind() == reflect.Float64) != strings.HasSuffix(key, "_seconds"):
				t.Errorf("%v.%s: durations, and only they, end in _seconds: %q", v, f.Name, key)
			case f.Type == reflect.TypeFor[time.Duration]():
				t.Errorf("%v.%s is a duration in ns", v, f.Name)
			}
			visit(f.Type)
		}
	}
	for _, v := range []any{view.List{}, view.Topology{}, view.Description{}, view.Events{}, view.Event{}} {
		visit(reflect.TypeOf(v))
	}
	if len(seen) < 15 {
		t.Errorf("only %d types were visited", len(seen))
	}
}

// Views are read back as they were written, by tests and other programs.
func TestRoundTrip(t *testing.T) {
	d := view.OfDescription(description())
	var back view.Description
	if err := json.Unmarshal([]byte(text(t, d)), &back); err != nil || !reflect.DeepEqual(&back, d) {
		t.Errorf("%v\n%+v\n%+v", err, back, *d)
	}
}
