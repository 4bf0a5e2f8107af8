package artefact

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/retry"
)

// lagTimeout is how long a replica may lag behind another's acknowledgements.
const lagTimeout = 5 * time.Second

// Get reads an artefact from the object store and writes it to w. If it returns nil, exactly the bytes of the digest
// were written; otherwise w holds something that must not be used.
//
// It asks for one chunk after another. The object store's own Get makes a consumer, which needs a right that would also
// let its holder have the server deliver chunks to any subject.
func Get(ctx context.Context, nc *nats.Conn, p natscluster.Subjects, a cluster.Artefact, w io.Writer) error {
	if err := check(a); err != nil {
		return err
	}
	object, err := Find(ctx, nc, p, a)
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return fmt.Errorf("artefact: %w", err)
	}
	stream, err := js.Stream(ctx, "OBJ_"+p.Artefacts())
	if err != nil {
		return fmt.Errorf("artefact: object store %s: %w", p.Artefacts(), err)
	}
	hash, got := sha256.New(), int64(0)
	subject := "$O." + p.Artefacts() + ".C." + object
	for seq := uint64(0); got < a.Size; {
		m, err := chunk(ctx, stream, seq+1, subject)
		if err != nil {
			return fmt.Errorf("artefact: read %s after %d of %d bytes: %w", short(a.SHA256), got, a.Size, err)
		}
		if got += int64(len(m.Data)); got > a.Size || m.Sequence <= seq || m.Subject != subject {
			break
		}
		seq = m.Sequence
		hash.Write(m.Data)
		if _, err := w.Write(m.Data); err != nil {
			return fmt.Errorf("artefact: %w", err)
		}
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); got != a.Size || sum != a.SHA256 {
		return fmt.Errorf("%w: %s: the object store holds something else (%s, at least %d bytes); submit it again", ErrMismatch, short(a.SHA256), short(sum), got)
	}
	return nil
}

// settled is for how long something that is not there may yet come: any replica answers.
const settled = 2 * time.Second

// Find returns which object an artefact is in the object store, which is not read yet.
func Find(ctx context.Context, nc *nats.Conn, p natscluster.Subjects, a cluster.Artefact) (object string, err error) {
	if err := check(a); err != nil {
		return "", err
	}
	store, err := open(ctx, nc, p)
	if err != nil {
		return "", err
	}
	lagging := func(err error) bool { return errors.Is(err, ErrMismatch) || errors.Is(err, ErrMissing) }
	err = retry.Do(ctx, retry.Policy{Min: 10 * time.Millisecond, Max: 200 * time.Millisecond, For: settled, Again: lagging}, func() error {
		info, err := store.GetInfo(ctx, a.SHA256)
		switch {
		case err == nil && info.NUID != "" && info.Size == uint64(a.Size):
			object = info.NUID
			return nil
		case err == nil:
			return fmt.Errorf("%w: %s has %d bytes in the object store, %d were submitted; submit it again", ErrMismatch, short(a.SHA256), info.Size, a.Size)
		case errors.Is(err, jetstream.ErrObjectNotFound):
			return fmt.Errorf("%w: %s; submit the topology again", ErrMissing, short(a.SHA256))
		default:
			return fmt.Errorf("artefact: look for %s: %w", short(a.SHA256), err)
		}
	})
	return object, err
}

// chunk returns the first chunk at or after seq.
func chunk(ctx context.Context, stream jetstream.Stream, seq uint64, subject string) (m *jetstream.RawStreamMsg, err error) {
	ctx, cancel := context.WithTimeout(ctx, lagTimeout)
	defer cancel()
	err = retry.Do(ctx, retry.Policy{Min: 10 * time.Millisecond, Max: time.Second}, func() (err error) {
		m, err = stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(subject))
		return err
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		err = fmt.Errorf("%w: a chunk is not there; submit it again", ErrMismatch)
	}
	return m, err
}
