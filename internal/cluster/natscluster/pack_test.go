package natscluster

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
)

// An answer that is too long is packed, and unpacks to the same; one that is still too long is refused, with the sizes.
func TestPack(t *testing.T) {
	noise := make([]byte, 100_000)
	_, _ = rand.Read(noise)
	for _, c := range []struct {
		data   []byte
		packed bool
		err    error
	}{
		{[]byte("{}"), false, nil},
		{bytes.Repeat([]byte("task"), 100_000), true, nil},
		{noise, false, ErrTooLong},
	} {
		m := &nats.Msg{Header: nats.Header{}, Data: c.data}
		err := Pack(m, 50_000)
		if !errors.Is(err, c.err) || (m.Header.Get(packing) != "") != c.packed || c.packed && len(m.Data) > 50_000 {
			t.Errorf("%d bytes: packed into %d: %v", len(c.data), len(m.Data), err)
		}
		if back, err := unpack(m); err != nil || !bytes.Equal(back, c.data) {
			t.Errorf("%d bytes come back as %d: %v", len(c.data), len(back), err)
		}
	}
	bomb := &nats.Msg{Header: nats.Header{}, Data: make([]byte, maxUnpacked+1)}
	if err := Pack(bomb, 1<<20); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(bomb); !errors.Is(err, ErrTooLong) {
		t.Errorf("a message that becomes very long: %v", err)
	}
	if _, err := unpack(&nats.Msg{Header: nats.Header{packing: {packedBy}}, Data: []byte(strings.Repeat("x", 100))}); err == nil {
		t.Error("data that is not packed is unpacked")
	}
}
