package natscluster

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"

	"github.com/nats-io/nats.go"
)

// packing is the header of a message with packed data; its value is the method.
const packing, packedBy = "Content-Encoding", "gzip"

// maxUnpacked bounds an unpacked answer, in bytes.
const maxUnpacked = 64 << 20

// ErrTooLong occurs when a message exceeds the servers' max_payload, even packed.
var ErrTooLong = errors.New("cluster: too long")

// Pack compresses the data of an answer if it exceeds most, the servers' max_payload in bytes. Request unpacks it.
func Pack(m *nats.Msg, most int64) error {
	long := len(m.Data)
	if int64(long+headroom) <= most {
		return nil
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write(m.Data)
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	if int64(b.Len()+headroom) > most {
		return fmt.Errorf("%w: the answer has %d bytes, %d when packed, and the NATS servers' max_payload is %d: ask for less", ErrTooLong, long, b.Len(), most)
	}
	m.Header.Set(packing, packedBy)
	m.Data = b.Bytes()
	return nil
}

// headroom is left for headers, in bytes.
const headroom = 1 << 10

// unpack undoes Pack.
func unpack(m *nats.Msg) ([]byte, error) {
	if m.Header.Get(packing) != packedBy {
		return m.Data, nil
	}
	r, err := gzip.NewReader(bytes.NewReader(m.Data))
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(r, maxUnpacked+1))
	if err == nil && len(data) > maxUnpacked {
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLong, maxUnpacked)
	}
	return data, err
}
