package nimbus

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/askback/askback/internal/checkpoint/natslog"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/retry"
)

// Only nimbus makes and deletes task logs; workers lack the permission. A log that vanishes, because a store was wiped, is
// made anew: its tasks then write fresh snapshots and go on.

// Intervals and timeouts of keepLogs.
const (
	logsEvery  = time.Second
	sweepEvery = 10 * time.Second // for logs of no topology
	logTimeout = 5 * time.Second
)

// logOwnerKey is the key of a stream's metadata that names the cluster of a log. Only logs with it are deleted as orphans: a
// local run on the same servers has logs of the same form.
const logOwnerKey = "askback.cluster"

// keepLogs makes missing task logs and deletes orphans.
func (t *term) keepLogs(ctx context.Context) {
	for swept := (time.Time{}); retry.Sleep(ctx, logsEvery) == nil; {
		if time.Since(swept) >= sweepEvery {
			if t.sweep(ctx) == nil {
				swept = time.Now()
			}
		}
		records, over := t.logs(ctx)
		if err := t.restoreLogs(ctx, records); err != nil && ctx.Err() == nil {
			t.log.Warn("cannot look after task logs", zap.Error(err))
		}
		for _, i := range over {
			t.deleteLog(ctx, i)
		}
	}
}

// logs returns, from the loop, the records whose logs must exist, and the instances whose logs can be deleted.
func (t *term) logs(ctx context.Context) ([]*cluster.Record, []cluster.Instance) {
	type answer struct {
		records []*cluster.Record
		over    []cluster.Instance
	}
	answers := make(chan answer, 1) // the loop may answer when the term has ended here
	t.enqueueWait(ctx, func(context.Context) {
		answers <- answer{t.core.Logs(), t.core.DeletableLogs(time.Now())}
	})
	select {
	case a := <-answers:
		return a.records, a.over
	case <-ctx.Done():
		return nil, nil
	}
}

// restoreLogs makes missing logs anew.
func (t *term) restoreLogs(ctx context.Context, records []*cluster.Record) error {
	if len(records) == 0 {
		return nil
	}
	there, err := t.streams(ctx)
	if err != nil {
		return err
	}
	for _, r := range records {
		if there[natslog.StreamName(string(t.subjects), string(r.Instance))] {
			continue
		}
		gone, err := t.gone(ctx, r.Instance)
		if err != nil || !gone {
			return err
		}
		if err := t.makeLog(ctx, r.Instance, natslog.Durability(r.Durability)); err != nil {
			return err
		}
		t.publish(cluster.Event{Kind: cluster.CheckpointError, Instance: r.Instance, Text: "the task log was gone, and has been made anew: the tasks write fresh snapshots"})
	}
	return nil
}

// streams returns the names of the streams that may be logs.
func (t *term) streams(ctx context.Context) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	list := t.js.StreamNames(ctx, jetstream.WithStreamListSubject(string(t.subjects)+".*.log.>"))
	names := map[string]bool{}
	for name := range list.Name() {
		names[name] = true
	}
	if err := list.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return nil, fmt.Errorf("nimbus: list streams: %w", err)
	}
	return names, nil
}

// gone checks once more for a log that was missing in the list.
func (t *term) gone(ctx context.Context, i cluster.Instance) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	there, err := natslog.Exists(ctx, t.nc, string(t.subjects), string(i))
	return !there, err
}

// makeLog makes the log of a topology, with as many replicas as the bucket has.
func (t *term) makeLog(ctx context.Context, i cluster.Instance, d natslog.Durability) error {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	replicas, err := t.replicas(ctx)
	if err != nil {
		return err
	}
	if _, err := natslog.Open(ctx, t.nc, natslog.Options{
		Prefix: string(t.subjects), Topology: string(i), Durability: d, Replicas: replicas,
	}); err != nil {
		return err
	}
	stream, err := t.js.Stream(ctx, natslog.StreamName(string(t.subjects), string(i)))
	if err != nil {
		return fmt.Errorf("nimbus: mark the log of %s: %w", i, err)
	}
	config := stream.CachedInfo().Config
	config.Metadata = maps.Clone(config.Metadata)
	if config.Metadata == nil {
		config.Metadata = map[string]string{}
	}
	config.Metadata[logOwnerKey] = string(t.subjects)
	if _, err := t.js.UpdateStream(ctx, config); err != nil {
		return fmt.Errorf("nimbus: mark the log of %s: %w", i, err)
	}
	return nil
}

// replicas returns the number of replicas of the bucket, which logs get too.
func (t *term) replicas(ctx context.Context) (int, error) {
	if t.cfg.Replicas > 0 {
		return t.cfg.Replicas, nil
	}
	bucket, err := t.js.Stream(ctx, "KV_"+t.subjects.Bucket())
	if err != nil {
		return 0, fmt.Errorf("nimbus: replicas of the bucket: %w", err)
	}
	return bucket.CachedInfo().Config.Replicas, nil
}

// sweep passes the list of existing logs to the loop.
func (t *term) sweep(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	list := t.js.ListStreams(limited, jetstream.WithStreamListSubject(string(t.subjects)+".*.log.>"))
	var found []cluster.Instance
	for s := range list.Info() {
		i, ok := strings.CutPrefix(s.Config.Name, natslog.StreamName(string(t.subjects), ""))
		if ok && s.Config.Metadata[logOwnerKey] == string(t.subjects) && cluster.Instance(i).Check() == nil {
			found = append(found, cluster.Instance(i))
		}
	}
	if err := list.Err(); err != nil && !errors.Is(err, jetstream.ErrEndOfData) {
		return fmt.Errorf("nimbus: list streams: %w", err)
	}
	t.enqueueWait(ctx, func(context.Context) { t.core.LogsFound(time.Now(), found) })
	return nil
}

// deleteLog deletes the log of a topology that has ended.
func (t *term) deleteLog(ctx context.Context, i cluster.Instance) {
	limited, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	if err := natslog.Delete(limited, t.nc, string(t.subjects), string(i)); err != nil {
		t.log.Warn("a task log cannot be deleted, will try again", zap.String("instance", string(i)), zap.Error(err))
		return
	}
	t.enqueueWait(ctx, func(context.Context) { t.core.LogDeleted(i) })
}
