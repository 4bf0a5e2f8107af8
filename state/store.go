package state

// A Store holds the keyed state of one task.
type Store struct{}
