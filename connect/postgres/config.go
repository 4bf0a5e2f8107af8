package postgres

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/askback/askback/bolt"
)

// A Config says where rows go. Bolt's factory validates it when a task begins.
type Config struct {
	// Open opens the database. Each incarnation of a task calls it, uses one connection, and closes what it got. The
	// sink never sees the data source name, so no error and no log of it can show a password. Required.
	Open func() (*sql.DB, error)
	// Table takes the rows, "words" or "schema.words", in exactly this spelling. It must exist. Required.
	Table string
	// Columns are what is written of a tuple. Other columns of the table get their default. Required.
	Columns []Column
	// Key names those of the columns that have a unique index, and are NOT NULL. A row whose key is there already is
	// updated. Without a key every tuple is a row of its own.
	Key []string
	// Hold keeps rows in a table beside Table until the snapshot that covers them counts. Under a strategy that rolls
	// back all tasks together (barrier) it must be set; see the package's comment.
	Hold bool
	// Held is the table of rows that are held, in the database of Table. It is created unless it is there. Default: Table
	// with "_held" behind it.
	Held string
	// Positions is the table of positions, in the database of Table. It is created unless it is there. Default
	// "askback_positions".
	Positions string
	// Batch is how many tuples go into one transaction at the most; with Hold, into one that writes to Held. Default 500.
	// See the package's comment on 1.
	Batch int
	// Patience is how long a transaction is tried again, when the database cannot be reached or asks for that, until
	// the task gives up and begins again. The task does nothing else meanwhile. Default 10 s.
	Patience time.Duration
}

// A Column takes a field of each tuple.
type Column struct {
	Name  string
	Field string // default: called like the column
}

// Bolt returns the factory of a sink that writes tuples as rows, each exactly once:
//
//	b.Bolt("out", postgres.Bolt(postgres.Config{Open: open, Table: "words", Columns: postgres.Columns("word", "n")})).Shuffle("count")
func Bolt(c Config) func() bolt.Bolt {
	if c.Hold {
		return func() bolt.Bolt { return &held{Config: c} }
	}
	return func() bolt.Bolt { return &sink{Config: c} }
}

// Columns returns columns that are called like their fields.
func Columns(names ...string) []Column {
	columns := make([]Column, len(names))
	for i, name := range names {
		columns[i] = Column{Name: name}
	}
	return columns
}

// maxParameters is how many values PostgreSQL takes in one statement.
const maxParameters = 65535

// normalize applies the defaults and validates.
func (c *Config) normalize() error {
	if c.Positions == "" {
		c.Positions = "askback_positions"
	}
	if c.Held == "" {
		c.Held = c.Table + "_held"
	}
	if c.Batch == 0 {
		c.Batch = 500
	}
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	switch {
	case c.Open == nil:
		return errors.New("postgres: Config.Open is missing: give a function that calls sql.Open")
	case c.Table == "":
		return errors.New("postgres: Config.Table is missing")
	case len(c.Columns) == 0:
		return fmt.Errorf("postgres: table %s: Config.Columns is missing: say which fields go where", c.Table)
	case c.Held == c.Table:
		return fmt.Errorf("postgres: table %s: Config.Held is the same table: rows that are held need one of their own", c.Table)
	case c.Batch < 0 || c.Patience < 0:
		return fmt.Errorf("postgres: table %s: Batch %d, Patience %v: neither may be negative", c.Table, c.Batch, c.Patience)
	}
	most := maxParameters / len(c.Columns)
	if c.Hold {
		most = (maxParameters - len(heldBy)) / (1 + len(c.Columns)) // a held row has a number too
	}
	c.Batch = min(c.Batch, max(1, most))
	c.Columns = slices.Clone(c.Columns)
	for i := range c.Columns {
		if c.Columns[i].Field == "" {
			c.Columns[i].Field = c.Columns[i].Name
		}
	}
	for _, key := range c.Key {
		if c.column(key) < 0 {
			return fmt.Errorf("postgres: table %s: key %q is none of the columns", c.Table, key)
		}
	}
	return nil
}

// column returns the index of the column of that name, -1 if there is none.
func (c *Config) column(name string) int {
	return slices.IndexFunc(c.Columns, func(col Column) bool { return col.Name == name })
}

// insert returns the statement that writes n rows to the table.
func (c *Config) insert(n int) string {
	return insert(table(c.Table), nil, c.names(), n) + c.update()
}

// update is the end of a statement that writes to the table: a row whose key is there is updated.
func (c *Config) update() string {
	if len(c.Key) == 0 {
		return ""
	}
	var set []string
	for _, col := range c.Columns {
		if !slices.Contains(c.Key, col.Name) {
			set = append(set, quote(col.Name)+" = EXCLUDED."+quote(col.Name))
		}
	}
	key := " ON CONFLICT (" + strings.Join(c.key(), ", ") + ") DO "
	if len(set) == 0 {
		return key + "NOTHING"
	}
	return key + "UPDATE SET " + strings.Join(set, ", ")
}

// names returns the names of the columns, quoted.
func (c *Config) names() []string {
	quoted := make([]string, len(c.Columns))
	for i, col := range c.Columns {
		quoted[i] = quote(col.Name)
	}
	return quoted
}

// key returns the names of the columns of the key, quoted.
func (c *Config) key() []string {
	quoted := make([]string, len(c.Key))
	for i, name := range c.Key {
		quoted[i] = quote(name)
	}
	return quoted
}

// table quotes a table's name, whose parts are separated by dots.
func table(name string) string {
	parts := strings.Split(name, ".")
	for i := range parts {
		parts[i] = quote(parts[i])
	}
	return strings.Join(parts, ".")
}

// quote makes any name an identifier.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }
