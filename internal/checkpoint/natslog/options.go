package natslog

import (
	"fmt"
	"time"

	"github.com/askback/askback/msgid"
)

// Options of Open.
type Options struct {
	// Prefix begins the names of the stream and of its subjects; default "askback". Same rule as a topology's name.
	Prefix string
	// Topology is the topology's name.
	Topology string
	// Plan is the version of the topology's plan, which the stream keeps. A stream of another plan is rejected. Default: none.
	Plan uint64
	// Durability is the guarantee of the server's disk settings; default Process. It does not change them.
	Durability Durability
	// SyncInterval is the server's sync_interval; default 2 minutes, which is the server's. It matters under
	// Process only: an entry counts as safe from a power cut after twice that time.
	SyncInterval time.Duration
	// Replicas of the stream when it is made; default 1.
	Replicas int
	// MaxBytes limits the stream when it is made; default: no limit. An append without room fails with ErrFull; no entry is
	// dropped to make room.
	MaxBytes int64
	// Attach leaves the making of the stream to another party: Open and Reopen fail with checkpoint.ErrGone while there is
	// none.
	Attach bool
	// Timeout limits each operation whose context has no deadline; default 5 s.
	Timeout time.Duration
}

// A Durability is the set of failures that an acknowledged entry survives. It is a property of the server's configuration
// (jetstream.sync_always), which a client can neither set nor read, so natslog trusts its caller.
type Durability string

const (
	// Process survives any crash of processes, kill -9 of the server included. A power cut or a crash of the
	// machine takes the newest entries, up to sync_interval (2 minutes by default) of them.
	Process Durability = "process"
	// Power survives a power cut too. It needs "sync_always: true" in the server's jetstream block; an append
	// then takes some 300 µs instead of some 20.
	Power Durability = "power"
)

func (o *Options) check() error {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Durability == "" {
		o.Durability = Process
	}
	if o.SyncInterval <= 0 {
		o.SyncInterval = 2 * time.Minute
	}
	if o.Timeout <= 0 {
		o.Timeout = defaultTimeout
	}
	o.Replicas = max(o.Replicas, 1)
	switch {
	case !msgid.ValidName(o.Prefix):
		return fmt.Errorf("natslog: prefix %.80q: want 1 to %d of A-Z a-z 0-9 _ -", o.Prefix, msgid.MaxName)
	case !msgid.ValidName(o.Topology):
		return fmt.Errorf("natslog: topology %.80q: want 1 to %d of A-Z a-z 0-9 _ -", o.Topology, msgid.MaxName)
	case o.Durability != Process && o.Durability != Power:
		return fmt.Errorf("natslog: durability %.80q: want %q or %q", o.Durability, Process, Power)
	}
	return nil
}

// DefaultPrefix begins the names of streams and subjects unless Options set another one.
const DefaultPrefix = "askback"

// StreamName returns the name of a topology's stream.
func StreamName(prefix, topology string) string { return prefix + "-" + topology }
