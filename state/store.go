package state

import "iter"

// A Store holds the keyed state of one task.
type Store struct{}

// An Opener has a store; bolt.Context is one.
type Opener interface{ State() *Store }

// Key is what may key a map.
type Key interface {
	~string | ~int | ~int32 | ~int64 | ~uint32 | ~uint64
}

// A Map is keyed state.
type Map[K Key, V any] struct{ zero V }

func NewStore() *Store { return &Store{} }

func Open[K Key, V any](o Opener, name string) (*Map[K, V], error) { return &Map[K, V]{}, nil }

func (m *Map[K, V]) At(key []byte) *V               { return &m.zero }
func (m *Map[K, V]) Entry(k K) *V                   { return &m.zero }
func (m *Map[K, V]) Get(k K) (v V, ok bool)         { return v, ok }
func (m *Map[K, V]) Peek(key []byte) (v V, ok bool) { return v, ok }
func (m *Map[K, V]) Put(k K, v V)                   {}
func (m *Map[K, V]) Delete(k K) bool                { return false }
func (m *Map[K, V]) Len() int                       { return 0 }
func (m *Map[K, V]) All() iter.Seq2[K, V]           { return func(func(K, V) bool) {} }

func (s *Store) Begin(full bool)                        {}
func (s *Store) Step(budget int) (done bool, err error) { return true, nil }
func (s *Store) Take() []byte                           { return nil }
func (s *Store) Abort()                                 {}
func (s *Store) Apply(data []byte) error                { return nil }
func (s *Store) Changed() bool                          { return false }
func (s *Store) WantFull() bool                         { return true }
func (s *Store) Size() int                              { return 0 }
