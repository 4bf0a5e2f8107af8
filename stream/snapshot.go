package stream

import (
	"encoding/binary"
	"errors"

	"github.com/askback/askback/bolt"
)

// Snapshot implements bolt.Snapshotter: the states of the steps that have one, each after its length.
func (s snapshotting) Snapshot() ([]byte, error) {
	var all []byte
	for _, p := range s.parts {
		w, ok := p.writer.(bolt.Snapshotter)
		if !ok {
			continue
		}
		own, err := w.Snapshot()
		if err != nil {
			return nil, s.named(p, err)
		}
		all = append(binary.AppendUvarint(all, uint64(len(own))), own...)
	}
	return all, nil
}

var errParts = errors.New("stream: the snapshot was made of other steps")

// Restore implements bolt.Snapshotter.
func (s snapshotting) Restore(data []byte) error {
	for _, p := range s.parts {
		w, ok := p.writer.(bolt.Snapshotter)
		if !ok {
			continue
		}
		n, width := binary.Uvarint(data)
		if width <= 0 || n > uint64(len(data)-width) {
			return errParts
		}
		own := data[width : width+int(n)]
		data = data[width+int(n):]
		if err := w.Restore(own); err != nil {
			return s.named(p, err)
		}
	}
	if len(data) > 0 {
		return errParts
	}
	return nil
}

// Commit implements bolt.Committer.
func (c committing) Commit() error {
	for _, p := range c.parts {
		if w, ok := p.writer.(bolt.Committer); ok {
			if err := w.Commit(); err != nil {
				return c.named(p, err)
			}
		}
	}
	return nil
}

// RenameSafe implements bolt.RenameSafe.
func (renameSafe) RenameSafe() {}
