package natscluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/retry"
)

// Bounds of the stream of events and of the bucket.
const (
	eventsEach  = 2000                // of one instance
	eventsAge   = 30 * 24 * time.Hour // of any
	eventsBytes = 256 << 20           // of all
	eventBytes  = 64 << 10            // of one event: a worker that floods them takes half of eventsBytes, and pushes no other out
	// markerTTL is how long an expired lease leaves a marker, and deletedTTL how long a deleted key does. A watcher that
	// was disconnected for longer detects the removal by its audit.
	markerTTL  = time.Minute
	deletedTTL = 24 * time.Hour
)

// bestReplicas is how many replicas there are if the cluster has room for them.
const bestReplicas = 3

// Setup makes the bucket of records, the object store of artefacts and the stream of events, unless they exist. They get
// that many replicas; 0 is three if the NATS cluster has room for them, and one otherwise. A stream with fewer gets more
// when that is possible, so Setup may be repeated. It waits for a cluster that is not ready yet until ctx ends.
func Setup(ctx context.Context, nc *nats.Conn, p Subjects, replicas int) error {
	if err := cluster.CheckName("prefix", string(p), maxPrefix); err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("cluster: set up: %w", err)
	}
	for _, s := range streamConfigs(js, p) {
		if err := s.ensure(ctx, js, replicas); err != nil {
			return fmt.Errorf("cluster: set up stream %s: %w", s.name, err)
		}
	}
	return nil
}

// maxPrefix leaves room for the names that follow the prefix.
const maxPrefix = 64

// A streamConfig is a stream that Setup makes.
type streamConfig struct {
	name   string
	create func(ctx context.Context, replicas int) error
}

func streamConfigs(js jetstream.JetStream, p Subjects) []streamConfig {
	return []streamConfig{
		{"KV_" + p.Bucket(), func(ctx context.Context, replicas int) error {
			_, err := js.CreateKeyValue(ctx, jetstream.KeyValueConfig{
				Bucket:         p.Bucket(),
				Description:    "Askback: topologies, supervisors, and the leader",
				History:        1,
				Storage:        jetstream.FileStorage,
				Replicas:       replicas,
				LimitMarkerTTL: markerTTL, // which allows a message its own TTL too
				RePublish:      &jetstream.RePublish{Source: "$KV." + p.Bucket() + ".>", Destination: p.Changed(">"), HeadersOnly: true},
			})
			return err
		}},
		{"OBJ_" + p.Artefacts(), func(ctx context.Context, replicas int) error {
			_, err := js.CreateObjectStore(ctx, jetstream.ObjectStoreConfig{
				Bucket:      p.Artefacts(),
				Description: "Askback: programs of topologies, by their SHA-256",
				Storage:     jetstream.FileStorage,
				Replicas:    replicas,
			})
			return err
		}},
		{p.Events(), func(ctx context.Context, replicas int) error {
			_, err := js.CreateStream(ctx, jetstream.StreamConfig{
				Name:              p.Events(),
				Description:       "Askback: events",
				Subjects:          []string{p.Event("*")},
				Storage:           jetstream.FileStorage,
				Replicas:          replicas,
				Discard:           jetstream.DiscardOld,
				MaxMsgsPerSubject: eventsEach,
				MaxAge:            eventsAge,
				MaxBytes:          eventsBytes,
				MaxMsgSize:        eventBytes,
				AllowDirect:       true,
			})
			return err
		}},
	}
}

// ensure makes the stream, or adds missing replicas.
func (k streamConfig) ensure(ctx context.Context, js jetstream.JetStream, replicas int) error {
	return retry.Do(ctx, retry.Policy{Min: 50 * time.Millisecond, Max: time.Second, Again: transient}, func() error {
		return k.attempt(ctx, js, replicas)
	})
}

func (k streamConfig) attempt(ctx context.Context, js jetstream.JetStream, replicas int) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	want := replicas
	if replicas == 0 {
		want = bestReplicas
	}
	s, err := js.Stream(ctx, k.name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		err = k.create(ctx, want)
		if replicas == 0 && tooFew(err) {
			err = k.create(ctx, 1)
		}
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || errors.Is(err, jetstream.ErrBucketExists) {
			return nil // another nimbus was faster
		}
		return err
	}
	if err != nil {
		return err
	}
	config := s.CachedInfo().Config
	if config.Replicas >= want {
		return nil
	}
	config.Replicas = want
	if _, err = js.UpdateStream(ctx, config); replicas == 0 && tooFew(err) {
		return nil
	}
	return err
}

// JetStream's codes for too few servers for that many replicas.
const (
	codeNoPeers     jetstream.ErrorCode = 10005
	codeNoResources jetstream.ErrorCode = 10023
	codeNoReplicas  jetstream.ErrorCode = 10074 // it is not a cluster
)

func tooFew(err error) bool {
	var e jetstream.JetStreamError
	if !errors.As(err, &e) || e.APIError() == nil {
		return false
	}
	code := e.APIError().ErrorCode
	return code == codeNoPeers || code == codeNoResources || code == codeNoReplicas
}

// transient reports whether a retry may succeed: a cluster that starts has no leader yet.
func transient(err error) bool {
	var e jetstream.JetStreamError
	if errors.As(err, &e) && e.APIError() != nil {
		return e.APIError().Code == 503
	}
	return !closed(err)
}
