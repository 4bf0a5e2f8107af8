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

// A Config describes where rows go. It is validated when the topology is built, and when a task begins.
type Config struct {
	// Open opens the database. Each incarnation of a task calls it, uses one connection, and closes what it got. The
	// sink never sees the data source name, so no error and no log of it can show a password. Required.
	Open func() (*sql.DB, error)
	// Table takes the rows, "words" or "schema.words", in exactly this spelling. It must exist. Required.
	Table string
	// Columns name what is written of a tuple or value. Other columns of the table get their default. Bolt requires them;
	// Sink takes one for each exported field of its type by default.
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
	// Timeout is how long a transaction is tried again, when the database cannot be reached or asks for that, until
	// the task gives up and begins again. The task does nothing else meanwhile. Default 10 s.
	Timeout time.Duration
}

// A Column takes a field of each tuple or value.
type Column struct {
	Name string
	// Field is the field of a tuple, by default the one that is called like the column; or the field of a struct, by
	// default the one whose column has that name.
	Field string
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
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	switch {
	case c.Open == nil:
		return errors.New("postgres: Config.Open is missing: give a function that calls sql.Open")
	case c.Table == "":
		return errors.New("postgres: Config.Table is missing")
	case len(c.Columns) == 0:
		return fmt.Errorf("postgres: table %s: Config.Columns is missing: name the columns and their fields", c.Table)
	case c.Held == c.Table:
		return fmt.Errorf("postgres: table %s: Config.Held is the same table: rows that are held need one of their own", c.Table)
	case c.Batch < 0 || c.Timeout < 0:
		return fmt.Errorf("postgres: table %s: Batch %d, Timeout %v: neither may be negative", c.Table, c.Batch, c.Timeout)
	}
	most := maxParameters / len(c.Columns)
	if c.Hold {
		most = (maxParameters - len(heldBy)) / (1 + len(c.Columns)) // a held row has a number too
	}
	c.Batch = min(c.Batch, max(1, most))
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

// verify refuses settings that cannot work, and a strategy under which rows would be lost or doubled.
func (c Config) verify(s bolt.Strategy) error {
	if err := c.normalize(); err != nil {
		return err
	}
	switch {
	case c.Hold && !s.Snapshots:
		return fmt.Errorf("postgres: table %s: Config.Hold writes rows together with snapshots, and strategy %q takes none of bolts: choose another strategy", c.Table, s.Name)
	case !c.Hold && !s.Snapshots:
		return fmt.Errorf("postgres: table %s: after a failure under strategy %q a message id may mean another tuple, whose row would be skipped: choose another strategy", c.Table, s.Name)
	case !c.Hold && (s.RollsBack || !s.ExactlyOnce):
		return fmt.Errorf("postgres: table %s: after a failure under strategy %q a message id may mean another tuple, whose row would be skipped: set Config.Hold", c.Table, s.Name)
	}
	return nil
}

// probe returns a statement that changes nothing. It fails if the table is not there, lacks a column or the key's index, or
// must not be written.
func (c *Config) probe() string {
	nulls := strings.TrimSuffix(strings.Repeat("NULL, ", len(c.Columns)), ", ")
	return "EXPLAIN INSERT INTO " + table(c.Table) + " (" + strings.Join(c.names(), ", ") + ") VALUES (" + nulls + ")" + c.update()
}
