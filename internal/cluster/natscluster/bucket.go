package natscluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/retry"
	"github.com/askback/askback/msgid"
)

// Keys of the bucket.
const (
	leaseKey  = "lease"       // the candidate that may lead; see Campaign
	epochKey  = "epoch"       // the leader; all other writes are conditional on it
	recordKey = "topology."   // and the topology's name
	hostKey   = "supervisor." // and the supervisor's name
)

// A Bucket reads the bucket of records. It implements Reader.
//
// It has no consumer: it reads new entries whenever the server hints at one, and every second anyway. So a lost
// connection, a killed server or a wiped replica takes nothing away, and a request that fails is sent again. Any replica
// may answer; the leader of the stream knows the newest sequence number, which shows whether an answer is complete.
//
// It needs the right to publish to $JS.API.DIRECT.GET.KV_<bucket> and $JS.API.STREAM.MSG.GET.KV_<bucket>, and to
// subscribe to Subjects.Changed.
type Bucket struct {
	nc    *nats.Conn
	p     Subjects
	times watchTimes
	floor atomic.Uint64 // a complete reading reaches at least this revision
}

var _ cluster.Reader = (*Bucket)(nil)

// OpenReader returns a reader of the bucket. It sends nothing yet: the bucket may be made later.
func OpenReader(nc *nats.Conn, p Subjects) *Bucket {
	return &Bucket{nc: nc, p: p, times: defaultWatchTimes}
}

// stream is the name of the JetStream stream of the bucket.
func (b *Bucket) stream() string { return "KV_" + b.p.Bucket() }

// subject is the subject of a key.
func (b *Bucket) subject(key string) string { return "$KV." + b.p.Bucket() + "." + key }

// An entry is a key with its newest value.
type entry struct {
	message
	key  string
	gone bool // deleted, or expired
}

func (b *Bucket) entry(m message) entry {
	return entry{
		message: m,
		key:     strings.TrimPrefix(m.subject, b.subject("")),
		gone:    m.header.Get("KV-Operation") != "" || m.header.Get("Nats-Marker-Reason") != "",
	}
}

// read calls f for the entries from a revision on, oldest first, and returns the revision to go on with.
func (b *Bucket) read(ctx context.Context, from uint64, f func(entry) error) (next uint64, err error) {
	return readStream(ctx, b.nc, b.stream(), b.subject(">"), from, func(m message) error { return f(b.entry(m)) })
}

// last reads a key from the stream's leader; the entry's revision is 0 if there is none.
func (b *Bucket) last(ctx context.Context, key string) (entry, error) {
	m, err := readLast(ctx, b.nc, b.stream(), b.subject(key))
	return b.entry(m), err
}

// newest returns the revision that a reading must reach to include all earlier writes.
func (b *Bucket) newest(ctx context.Context) (uint64, error) {
	e, err := b.last(ctx, ">")
	return max(e.revision, b.floor.Load()), err
}

// all returns the entries of all keys with a prefix, including all writes before the call.
func (b *Bucket) all(ctx context.Context, prefix string) ([]entry, error) {
	for {
		newest, err := b.newest(ctx)
		if err != nil {
			return nil, err
		}
		found := map[string]entry{}
		next, err := b.read(ctx, 0, func(e entry) error {
			if strings.HasPrefix(e.key, prefix) {
				found[e.key] = e
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if next > newest {
			return inOrder(found), nil
		}
		if err := retry.Sleep(ctx, b.times.retry); err != nil { // the replica that answered lags behind
			return nil, err
		}
	}
}

// Records implements Reader.
func (b *Bucket) Records(ctx context.Context) ([]cluster.Change, error) {
	entries, err := b.all(ctx, recordKey)
	if err != nil {
		return nil, err
	}
	changes := make([]cluster.Change, 0, len(entries))
	for _, e := range entries {
		c, err := change(e)
		if err != nil {
			return nil, err
		}
		changes = append(changes, c)
	}
	return changes, nil
}

// Hosts implements Reader.
func (b *Bucket) Hosts(ctx context.Context) ([]cluster.Host, error) {
	entries, err := b.all(ctx, hostKey)
	if err != nil {
		return nil, err
	}
	hosts := make([]cluster.Host, len(entries))
	for i, e := range entries {
		err := json.Unmarshal(e.data, &hosts[i])
		if err == nil && hosts[i].Name != strings.TrimPrefix(e.key, hostKey) {
			err = fmt.Errorf("it names supervisor %.80q", hosts[i].Name)
		}
		if err != nil {
			return nil, damaged(e.key, err)
		}
	}
	return hosts, nil
}

// change makes a Change of a record's entry.
func change(e entry) (cluster.Change, error) {
	c := cluster.Change{Name: strings.TrimPrefix(e.key, recordKey), Revision: e.revision}
	if err := cluster.CheckName("topology", c.Name, msgid.MaxName); err != nil {
		return cluster.Change{}, damaged(e.key, err)
	}
	if e.gone {
		return c, nil
	}
	c.Record = &cluster.Record{}
	if err := json.Unmarshal(e.data, c.Record); err != nil {
		return cluster.Change{}, damaged(e.key, err)
	}
	if err := c.Record.Check(c.Name); err != nil {
		return cluster.Change{}, damaged(e.key, err)
	}
	return c, nil
}

// ErrDamaged occurs when a key of the bucket holds a value that cannot be read. Only nimbus should write there.
var ErrDamaged = errors.New("cluster: damaged key")

func damaged(key string, err error) error {
	return fmt.Errorf("%w %s: %w; look at it, then remove it with nats kv", ErrDamaged, key, err)
}
