package postgres

import (
	"context"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/tuple"
)

// Bolt returns the factory of a sink that writes tuples as rows, each exactly once:
//
//	b.Bolt("out", postgres.Bolt(postgres.Config{Open: open, Table: "words", Columns: postgres.Columns("word", "n")})).Shuffle("count")
func Bolt(c Config) func() bolt.Bolt {
	if c.Hold {
		return func() bolt.Bolt { return &heldBolt{held: held{Config: c}} }
	}
	return func() bolt.Bolt { return &directBolt{direct: direct{Config: c}} }
}

// directBolt is the bolt of one task that writes rows as they come.
type directBolt struct {
	direct
	fields fields
}

// Prepare opens the database and reads the position.
func (b *directBolt) Prepare(ctx bolt.Context) error { return b.direct.prepare(ctx) }

// Identifies implements bolt.Identifier.
func (*directBolt) Identifies() {}

// Execute gathers a row, and writes the gathered rows when there are enough.
func (b *directBolt) Execute(ctx context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	if err := b.fields.read(&b.rows, t); err != nil { // first, so that a bad tuple is one on a replay too
		return err
	}
	return b.take(ctx, t.ID())
}

// heldBolt is the bolt of one task that holds its rows back.
type heldBolt struct {
	held
	fields fields
}

// Prepare opens the database and reads which batch was the last.
func (b *heldBolt) Prepare(ctx bolt.Context) error { return b.held.prepare(ctx) }

// Execute gathers a row, and holds what is gathered when it is enough.
func (b *heldBolt) Execute(ctx context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	if err := b.fields.read(&b.rows, t, b.n+1); err != nil {
		return err
	}
	return b.take(ctx, t.ID())
}
