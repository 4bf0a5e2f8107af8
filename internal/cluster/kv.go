package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/msgid"
)

// Keys of the bucket.
const (
	leaseKey  = "lease"       // who may lead; see Campaign
	epochKey  = "epoch"       // who leads; all other writes are conditional on it
	recordKey = "topology."   // and the topology's name
	hostKey   = "supervisor." // and the supervisor's name
)

// A Bucket reads the bucket of records. It implements Reader.
//
// It has no consumer: it asks for what is new, whenever the server hints that there is something, and every second
// anyway. So there is nothing that a lost connection, a killed server or a wiped replica could take away, and what is
// asked in vain is asked again. Any replica may answer; what an answer may lack is found out by asking the leader of the
// stream for its newest sequence number.
//
// It needs the right to ask $JS.API.DIRECT.GET.KV_<bucket> and $JS.API.STREAM.MSG.GET.KV_<bucket>, and to listen to
// Subjects.Changed.
type Bucket struct {
	nc    *nats.Conn
	p     Subjects
	times watchTimes
	floor atomic.Uint64 // what is read reaches at least this revision
}

var _ Reader = (*Bucket)(nil)

// OpenReader returns a reader of the bucket. It asks nothing yet: the bucket may come later.
func OpenReader(nc *nats.Conn, p Subjects) *Bucket {
	return &Bucket{nc: nc, p: p, times: defaultWatchTimes}
}

// stream is the JetStream stream that NATS keeps the bucket in.
func (b *Bucket) stream() string { return "KV_" + b.p.Bucket() }

// subject is where a key is written to.
func (b *Bucket) subject(key string) string { return "$KV." + b.p.Bucket() + "." + key }

// An entry is a key as it stands.
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

// read gives the entries from a revision on, oldest first, and returns the revision to go on with.
func (b *Bucket) read(ctx context.Context, from uint64, f func(entry) error) (next uint64, err error) {
	return readStream(ctx, b.nc, b.stream(), b.subject(">"), from, func(m message) error { return f(b.entry(m)) })
}

// last asks the stream's leader for a key; its entry's revision is 0 if there is none.
func (b *Bucket) last(ctx context.Context, key string) (entry, error) {
	m, err := readLast(ctx, b.nc, b.stream(), b.subject(key))
	return b.entry(m), err
}

// newest returns a revision that a reading must reach to lack nothing written before.
func (b *Bucket) newest(ctx context.Context) (uint64, error) {
	e, err := b.last(ctx, ">")
	return max(e.revision, b.floor.Load()), err
}

// all returns the entries of all keys that begin so, and lacks nothing that was written before it was called.
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
		if err := sleep(ctx, b.times.retry); err != nil { // the replica that answered lags behind
			return nil, err
		}
	}
}

// Records implements Reader.
func (b *Bucket) Records(ctx context.Context) ([]Change, error) {
	entries, err := b.all(ctx, recordKey)
	if err != nil {
		return nil, err
	}
	changes := make([]Change, 0, len(entries))
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
func (b *Bucket) Hosts(ctx context.Context) ([]Host, error) {
	entries, err := b.all(ctx, hostKey)
	if err != nil {
		return nil, err
	}
	hosts := make([]Host, len(entries))
	for i, e := range entries {
		err := json.Unmarshal(e.data, &hosts[i])
		if err == nil && hosts[i].Name != strings.TrimPrefix(e.key, hostKey) {
			err = fmt.Errorf("it is of supervisor %.80q", hosts[i].Name)
		}
		if err != nil {
			return nil, damaged(e.key, err)
		}
	}
	return hosts, nil
}

// change makes a Change of a record's entry.
func change(e entry) (Change, error) {
	c := Change{Name: strings.TrimPrefix(e.key, recordKey), Revision: e.revision}
	if err := CheckName("topology", c.Name, msgid.MaxName); err != nil {
		return Change{}, damaged(e.key, err)
	}
	if e.gone {
		return c, nil
	}
	c.Record = &Record{}
	if err := json.Unmarshal(e.data, c.Record); err != nil {
		return Change{}, damaged(e.key, err)
	}
	if c.Record.Instance.Name() != c.Name || c.Record.Instance.Check() != nil {
		return Change{}, damaged(e.key, fmt.Errorf("it is of instance %.80q", string(c.Record.Instance)))
	}
	return c, nil
}

// ErrDamaged: a key of the bucket holds what is not of its kind. Nobody but nimbus should write there.
var ErrDamaged = errors.New("cluster: damaged key")

func damaged(key string, err error) error {
	return fmt.Errorf("%w %s: %w; look at it, then remove it with nats kv", ErrDamaged, key, err)
}
