package state

import (
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// Errors of Open.
var (
	// ErrNoStore occurs when an Opener has no store, as outside of a running task.
	ErrNoStore = errors.New("state: no store")
	// ErrName occurs when a map's name is not 1 to 64 of A-Z a-z 0-9 _ -.
	ErrName = errors.New("state: invalid name of a map")
	// ErrOpen occurs when a map of that name is open already. Open a map once, in Prepare, and keep it.
	ErrOpen = errors.New("state: map is open already")
	// ErrValue occurs when values of a type cannot be stored, or not without losing a part of them.
	ErrValue = errors.New("state: unsupported type of value")
)

// Errors of Open and Apply.
var (
	// ErrKind occurs when a snapshot was made of a map with keys of another kind, or with values of a type that the
	// map's does not extend; see the package's comment.
	ErrKind = errors.New("state: snapshot holds another type")
	// ErrCorrupt occurs when a snapshot is damaged.
	ErrCorrupt = errors.New("state: damaged snapshot")
)

// Errors of Step and Apply.
var (
	// ErrEncode occurs when a value's own method of encoding fails or panics. The snapshot cannot be finished: abort it.
	ErrEncode = errors.New("state: value cannot be encoded")
	// ErrNoSnapshot occurs when Step is called without Begin.
	ErrNoSnapshot = errors.New("state: no snapshot is in progress")
	// ErrBusy occurs when a snapshot is applied while one is in progress.
	ErrBusy = errors.New("state: a snapshot is in progress")
	// ErrOrder occurs when an increment is applied to anything but the snapshot that it follows.
	ErrOrder = errors.New("state: increment does not follow")
)

// A Store holds the keyed state of one task. It is not safe for concurrent use: one goroutine, the task's, owns
// it and its maps.
type Store struct {
	tables []table // in the order of opening
	kept   []kept  // sections restored for maps that are not open yet, in the order restored
	seed   maphash.Seed
	epoch  uint32

	phase  phase
	number uint64  // of the last snapshot begun or applied
	stored chain   // as of the last stored snapshot
	taken  chain   // as of the snapshot in progress or taken
	frozen []table // the maps in it
	join   joiner

	of     *Store // of a view: the store whose maps it opens
	prefix string // of a view: of their names
}

// An Opener has a store; bolt.Context is one.
type Opener interface{ State() *Store }

// State makes a Store its own Opener, for tests and for use without a topology.
func (s *Store) State() *Store { return s }

// Used reports whether a map was opened, or restored; a view reports it of its own maps.
func (s *Store) Used() bool {
	if s.of == nil {
		return len(s.tables) > 0 || len(s.kept) > 0
	}
	own := func(name string) bool { return strings.HasPrefix(name, s.prefix) }
	return slices.ContainsFunc(s.of.tables, func(t table) bool { return own(t.title()) }) ||
		slices.ContainsFunc(s.of.kept, func(k kept) bool { return own(k.name) })
}

// Unopened returns the names of the maps that were restored and are not open.
func (s *Store) Unopened() (names []string) {
	for _, k := range s.kept {
		if !slices.Contains(names, k.name) {
			names = append(names, k.name)
		}
	}
	return names
}

// Within returns a view of the store for one of several that share it. A map that is opened through it is called
// name.map in the store, so that equal names do not meet. A view is for Open and Used only; snapshots are the store's.
func (s *Store) Within(name string) *Store {
	of := s
	if s.of != nil {
		of = s.of
	}
	return &Store{of: of, prefix: s.prefix + name + "."}
}

// NewStore returns an empty store.
func NewStore() *Store { return &Store{seed: maphash.MakeSeed(), epoch: 1} }

// Open makes the map of a name, or the one restored under that name. K is a text or an integer type, and V any
// type that can be stored whole: one that implements encoding.BinaryMarshaler and BinaryUnmarshaler, or one that
// consists of exported fields, slices, maps and pointers of such, down to numbers and texts. A value that cannot be stored
// (a channel, a function, an interface, a type that contains itself) is an error here rather than at the first
// snapshot.
func Open[K Key, V any](o Opener, name string) (*Map[K, V], error) {
	var s *Store
	if o != nil {
		s = o.State()
	}
	switch {
	case s == nil:
		return nil, fmt.Errorf("open map %.80q: %w: call Open in Prepare, with the context given there", name, ErrNoStore)
	case !validName(name):
		return nil, fmt.Errorf("open map %.80q: %w: want 1 to 64 of A-Z a-z 0-9 _ -", name, ErrName)
	}
	if s.of != nil {
		s, name = s.of, s.prefix+name
	}
	switch {
	case !validTitle(name):
		return nil, fmt.Errorf("open map %.200q: %w: the view's name is not 1 to 64 of A-Z a-z 0-9 _ -", name, ErrName)
	case slices.ContainsFunc(s.tables, func(t table) bool { return t.title() == name }):
		return nil, fmt.Errorf("open map %q: %w: open it once, in Prepare", name, ErrOpen)
	}
	value, err := valueKindOf[V]()
	if err != nil {
		return nil, fmt.Errorf("open map %q: %w: %w", name, ErrValue, err)
	}
	m := &Map[K, V]{name: name, kind: keyKindOf[K](s.seed), value: value}
	m.reset(s.epoch)
	for _, k := range s.kept {
		if k.name != name {
			continue
		}
		if err := m.load(&k.section); err != nil {
			return nil, fmt.Errorf("open map %q: %w", name, err)
		}
	}
	s.kept = slices.DeleteFunc(s.kept, func(k kept) bool { return k.name == name })
	s.tables = append(s.tables, m)
	return m, nil
}

// Size returns about how many bytes of memory the store takes, without what values refer to.
func (s *Store) Size() (n int) {
	for _, t := range s.tables {
		n += t.size()
	}
	for _, k := range s.kept {
		n += len(k.raw)
	}
	return n
}

// A table is a map of any type.
type table interface {
	title() string
	reset(epoch uint32)
	load(s *section) error
	size() int
	changed() bool

	freeze(full bool, epoch uint32)
	encode(budget int) (used int, done bool, err error)
	section() (*section, *spool)
	sweep(budget int) (used int, done bool)
	commit()
	abort()
}

// A kept section belongs to a map that is not open.
type kept struct{ section }

// validTitle reports whether a name is that of a map in the store: its own, after the names of views.
func validTitle(s string) bool {
	for part := range strings.SplitSeq(s, ".") {
		if !validName(part) {
			return false
		}
	}
	return true
}

func validName(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}
