package artefact

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// inFlight is how much is sent before the server is asked whether it has come: a slow network then shows as slow
// progress, and not as a connection that does not answer.
const inFlight = 1 << 20

// flushTimeout is how long the network may take for inFlight bytes.
const flushTimeout = 30 * time.Second

// Put uploads the file to the object store under its digest, unless it is there already, and returns its description,
// unsigned; see Sign. It reports to progress how many bytes are uploaded of how many; progress may be nil.
func Put(ctx context.Context, nc *nats.Conn, p natscluster.Subjects, path string, progress func(done, all int64)) (cluster.Artefact, error) {
	sha, size, err := Sum(path)
	if err != nil {
		return cluster.Artefact{}, err
	}
	a := cluster.Artefact{SHA256: sha, Size: size}
	if err := check(a); err != nil {
		return cluster.Artefact{}, err
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	store, err := open(ctx, nc, p)
	if err != nil {
		return cluster.Artefact{}, err
	}
	if info, err := store.GetInfo(ctx, sha); err == nil && is(info, a) {
		progress(size, size)
		return a, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return cluster.Artefact{}, fmt.Errorf("artefact: %w", err)
	}
	defer func() { _ = f.Close() }()
	up := &upload{ctx: ctx, nc: nc, r: io.LimitReader(f, size+1), size: size, progress: progress}
	info, err := store.Put(ctx, jetstream.ObjectMeta{Name: sha}, up)
	switch {
	case err != nil:
		return cluster.Artefact{}, fmt.Errorf("artefact: upload %s: %w", path, err)
	case !is(info, a):
		return cluster.Artefact{}, fmt.Errorf("%w: %s was changed while it was uploaded; submit it again", ErrMismatch, path)
	}
	progress(size, size)
	return a, nil
}

// open returns the object store of artefacts, which nimbus makes.
func open(ctx context.Context, nc *nats.Conn, p natscluster.Subjects) (jetstream.ObjectStore, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("artefact: %w", err)
	}
	store, err := js.ObjectStore(ctx, p.Artefacts())
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, fmt.Errorf("artefact: there is no object store %s: nimbus makes it when it first leads; is one running?", p.Artefacts())
	} else if err != nil {
		return nil, fmt.Errorf("artefact: object store %s: %w", p.Artefacts(), err)
	}
	return store, nil
}

// is reports whether the store describes an object as a.
func is(info *jetstream.ObjectInfo, a cluster.Artefact) bool {
	sum, err := hex.DecodeString(a.SHA256)
	return err == nil && info.Size == uint64(a.Size) && info.Digest == "SHA-256="+base64.URLEncoding.EncodeToString(sum)
}

// An upload is a file that is read no faster than the network takes it.
type upload struct {
	ctx        context.Context
	nc         *nats.Conn
	r          io.Reader
	done, size int64
	confirmed  int64
	progress   func(done, all int64)
}

func (u *upload) Read(p []byte) (int, error) {
	if u.done-u.confirmed >= inFlight {
		ctx, cancel := context.WithTimeout(u.ctx, flushTimeout)
		defer cancel()
		if err := u.nc.FlushWithContext(ctx); err != nil {
			return 0, err
		}
		u.confirmed = u.done
		u.progress(min(u.done, u.size), u.size)
	}
	n, err := u.r.Read(p)
	u.done += int64(n)
	return n, err
}
