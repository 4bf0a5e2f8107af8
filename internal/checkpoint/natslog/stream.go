package natslog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// A ConfigError occurs in Open when a stream of the log's name exists that would lose or hide entries.
type ConfigError struct {
	Stream string
	What   string // the setting, its value and the required one
}

func (e *ConfigError) Error() string {
	return fmt.Sprintf("natslog: stream %s cannot be a task log: %s; correct it with nats stream edit, or delete the stream", e.Stream, e.What)
}

// A PlanError occurs in Open when the log was made by a program with another plan: its snapshots and records mean something
// else, and a task that wrote to it would spoil it for the right program.
type PlanError struct {
	Topology   string
	Made, Mine string // versions of the plans, in hexadecimal
}

func (e *PlanError) Error() string {
	return fmt.Sprintf("natslog: the log of topology %q was made with plan %s, and this program's plan is %s: operators, streams, groupings and numbers of tasks "+
		"must be the same to go on from a log (--plan prints them; a policy such as Drop may split a fused step off); run the program that made it, "+
		"or begin anew in another directory or under another name", e.Topology, e.Made, e.Mine)
}

// planKey is where a stream's metadata have the version of its plan.
const planKey = "askback.plan"

// streamFacts are the settings that reading depends on.
type streamFacts struct {
	sync.Mutex
	direct   bool // entries can be read without asking the leader
	replicas int
}

func (f *streamFacts) get() (direct bool, replicas int) {
	f.Lock()
	defer f.Unlock()
	return f.direct, f.replicas
}

// Reopen implements checkpoint.Log: it makes the stream if it does not exist, unless that is left to others, and
// checks it.
func (l *Log) Reopen(ctx context.Context) error {
	ctx, cancel := l.limit(ctx)
	defer cancel()
	s, err := l.js.Stream(ctx, l.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) && !l.opt.Attach {
		s, err = l.js.CreateStream(ctx, l.config())
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // made by another process, otherwise
			s, err = l.js.Stream(ctx, l.name)
		}
	}
	if err != nil {
		return fmt.Errorf("natslog: open stream %s: %w", l.name, apiFailure(err))
	}
	c := s.CachedInfo().Config
	if err := l.checkConfig(c); err != nil {
		return err
	}
	if made, mine := c.Metadata[planKey], l.plan(); made != "" && mine != "" && made != mine {
		return &PlanError{Topology: l.opt.Topology, Made: made, Mine: mine}
	}
	l.stream.Lock()
	defer l.stream.Unlock()
	l.stream.direct, l.stream.replicas = c.AllowDirect, c.Replicas
	return nil
}

// plan returns the version of the plan as the stream's metadata have it; "" if there is none.
func (l *Log) plan() string {
	if l.opt.Plan == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", l.opt.Plan)
}

// config is the stream as natslog makes it.
func (l *Log) config() jetstream.StreamConfig {
	maxBytes := l.opt.MaxBytes
	if maxBytes <= 0 {
		maxBytes = -1
	}
	var metadata map[string]string
	if plan := l.plan(); plan != "" {
		metadata = map[string]string{planKey: plan}
	}
	return jetstream.StreamConfig{
		Name:        l.name,
		Metadata:    metadata,
		Description: "Askback: task log of topology " + l.opt.Topology,
		Subjects:    []string{l.subjects()},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		// A full log must reject appends. The default would drop its oldest entries.
		Discard:           jetstream.DiscardNew,
		MaxBytes:          maxBytes,
		MaxMsgs:           -1,
		MaxMsgsPerSubject: -1,
		MaxMsgSize:        -1,
		MaxConsumers:      -1,
		Replicas:          l.opt.Replicas,
		// Entries carry no message ids, so the window only costs memory; this is the least there is.
		Duplicates:  100 * time.Millisecond,
		AllowDirect: true,
	}
}

// subjects returns the subjects of all aliases.
func (l *Log) subjects() string { return l.opt.Prefix + "." + l.opt.Topology + ".log.>" }

// checkConfig refuses settings that would lose or hide entries. Other settings are the operator's choice.
func (l *Log) checkConfig(c jetstream.StreamConfig) error {
	bad := func(format string, args ...any) error {
		return &ConfigError{Stream: l.name, What: fmt.Sprintf(format, args...)}
	}
	switch {
	case len(c.Subjects) != 1 || c.Subjects[0] != l.subjects():
		return bad("its subjects are %.200q, want %q (another prefix and topology may have the same stream name)", c.Subjects, l.subjects())
	case c.Storage != jetstream.FileStorage:
		return bad("storage is memory, want file")
	case c.Retention != jetstream.LimitsPolicy:
		return bad("retention is %s, want limits", c.Retention)
	case c.Discard != jetstream.DiscardNew && (c.MaxBytes > 0 || c.MaxMsgs > 0):
		return bad("it discards old entries when it is full, want discard new")
	case c.MaxMsgsPerSubject > 0:
		return bad("max_msgs_per_subject is %d, want no limit", c.MaxMsgsPerSubject)
	case c.MaxAge > 0:
		return bad("max_age is %s, want no limit", c.MaxAge)
	case c.NoAck:
		return bad("no_ack is set")
	case c.Sealed:
		return bad("it is sealed")
	case c.DenyPurge:
		return bad("deny_purge is set, but old entries must be purged")
	case c.PersistMode != jetstream.DefaultPersistMode:
		return bad("persist_mode is %s, which loses acknowledged entries when the server is killed", c.PersistMode)
	case c.SubjectTransform != nil:
		return bad("it has a subject transform")
	}
	return nil
}

// Exists reports whether the topology has a log.
func Exists(ctx context.Context, nc *nats.Conn, prefix, topology string) (bool, error) {
	l, cancel, ctx, err := attach(ctx, nc, prefix, topology)
	if err != nil {
		return false, err
	}
	defer cancel()
	_, err = l.js.Stream(ctx, l.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("natslog: look for stream %s: %w", l.name, apiFailure(err))
	}
	return true, nil
}

// Delete deletes the topology's log with all that is in it. It is no error if there is none.
func Delete(ctx context.Context, nc *nats.Conn, prefix, topology string) error {
	l, cancel, ctx, err := attach(ctx, nc, prefix, topology)
	if err != nil {
		return err
	}
	defer cancel()
	err = l.js.DeleteStream(ctx, l.name)
	if err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("natslog: delete stream %s: %w", l.name, apiFailure(err))
	}
	return nil
}

// attach returns a log whose stream need not exist.
func attach(ctx context.Context, nc *nats.Conn, prefix, topology string) (*Log, context.CancelFunc, context.Context, error) {
	opt := Options{Prefix: prefix, Topology: topology}
	if err := opt.check(); err != nil {
		return nil, nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, nil, nil, fmt.Errorf("natslog: %w", err)
	}
	l := &Log{nc: nc, js: js, opt: opt, name: StreamName(opt.Prefix, topology)}
	ctx, cancel := l.limit(ctx)
	return l, cancel, ctx, nil
}

// apiFailure turns an error of the jetstream package into one of package checkpoint.
func apiFailure(err error) error {
	var api jetstream.JetStreamError
	if errors.As(err, &api) && api.APIError() != nil {
		e := api.APIError()
		return (&apiError{Code: e.Code, ErrCode: int(e.ErrorCode), Description: e.Description}).classify()
	}
	var e *jetstream.APIError
	if errors.As(err, &e) {
		return (&apiError{Code: e.Code, ErrCode: int(e.ErrorCode), Description: e.Description}).classify()
	}
	return unanswered(err)
}
