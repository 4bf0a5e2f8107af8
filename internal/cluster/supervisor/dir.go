package supervisor

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/askback/askback/internal/cluster"
)

// A dir is where a supervisor keeps things: see the package's documentation. The parts of its paths are names that have
// been checked.
type dir string

// make makes the directories that are always there. Workers pass through the first, to programs and to their own.
func (d dir) make() error {
	for _, at := range []struct {
		path string
		mode fs.FileMode
	}{
		{string(d), 0o711}, {d.artefacts(), 0o755}, {filepath.Join(string(d), "workers"), 0o711},
		{filepath.Join(string(d), "slots"), 0o700}, {filepath.Join(string(d), "logs"), 0o700},
	} {
		if err := os.MkdirAll(at.path, at.mode); err != nil {
			return fmt.Errorf("supervisor: %w", err)
		}
	}
	return nil
}

func (d dir) artefacts() string { return filepath.Join(string(d), "artefacts") }

// of returns the directory of one kind that belongs to a slot.
func (d dir) of(kind string, s cluster.WorkerSlot) string {
	return filepath.Join(string(d), kind, string(s.Instance), strconv.Itoa(s.Number))
}

func (d dir) output(s cluster.WorkerSlot) string { return filepath.Join(d.of("logs", s), "output") }

// Files of a slot.
const (
	processFile = "process"
	loginFile   = "login"
)

// put writes a file of a slot, readable by the supervisor only: all of it or nothing.
func (d dir) put(s cluster.WorkerSlot, name string, value any) error {
	text, err := json.Marshal(value)
	if err == nil {
		err = os.MkdirAll(d.of("slots", s), 0o700)
	}
	if err == nil {
		err = replace(filepath.Join(d.of("slots", s), name), text)
	}
	if err != nil {
		return fmt.Errorf("supervisor: keep the %s of %s: %w", name, s, err)
	}
	return nil
}

// replace writes a file beside and gives it the name.
func replace(path string, text []byte) error {
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// get reads a file of a slot, and reports whether it is there and can be read.
func (d dir) get(s cluster.WorkerSlot, name string, value any) bool {
	text, err := os.ReadFile(filepath.Join(d.of("slots", s), name))
	return err == nil && json.Unmarshal(text, value) == nil
}

func (d dir) drop(s cluster.WorkerSlot, name string) {
	_ = os.Remove(filepath.Join(d.of("slots", s), name))
}

// forget removes all that belongs to a slot but its output.
func (d dir) forget(s cluster.WorkerSlot) error {
	var failed []error
	for _, kind := range []string{"slots", "workers"} {
		failed = append(failed, os.RemoveAll(d.of(kind, s)))
		_ = os.Remove(filepath.Dir(d.of(kind, s))) // unless another slot of the instance is there
	}
	return errors.Join(failed...)
}

// slots returns the slots of which there are files.
func (d dir) slots(supervisor string) (all []cluster.WorkerSlot) {
	found, _ := filepath.Glob(filepath.Join(string(d), "slots", "*", "*"))
	for _, path := range found {
		slot, err := strconv.Atoi(filepath.Base(path))
		s := cluster.WorkerSlot{Instance: cluster.Instance(filepath.Base(filepath.Dir(path))), Supervisor: supervisor, Number: slot}
		if err == nil && s.Check() == nil {
			all = append(all, s)
		}
	}
	return all
}

// pruneLogs removes the output of slots that has not been written to for a while, unless they are in use.
func (d dir) pruneLogs(before time.Time, used func(cluster.WorkerSlot) bool, supervisor string) {
	found, _ := filepath.Glob(filepath.Join(string(d), "logs", "*", "*"))
	for _, path := range found {
		slot, err := strconv.Atoi(filepath.Base(path))
		s := cluster.WorkerSlot{Instance: cluster.Instance(filepath.Base(filepath.Dir(path))), Supervisor: supervisor, Number: slot}
		info, err2 := os.Stat(filepath.Join(path, "output"))
		if err != nil || used(s) || err2 == nil && info.ModTime().After(before) {
			continue
		}
		_ = os.RemoveAll(path)
		_ = os.Remove(filepath.Dir(path))
	}
}

// joined reports whether a nimbus has let a supervisor of that name join from here before.
func (d dir) joined(name string) bool {
	text, err := os.ReadFile(filepath.Join(string(d), "joined"))
	return err == nil && string(bytes.TrimSpace(text)) == name
}

func (d dir) setJoined(name string) error {
	return replace(filepath.Join(string(d), "joined"), []byte(name+"\n"))
}
