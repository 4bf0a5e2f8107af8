package postgres_test

import (
	"database/sql"
	"fmt"
	"os"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/postgres"
)

// A sink of orders. It opens the database when a task begins, which the example leaves out.
func Example() {
	out := postgres.Bolt(postgres.Config{
		Open:    func() (*sql.DB, error) { return sql.Open("pgx", os.Getenv("SHOP_DSN")) },
		Table:   "shop.orders",
		Columns: []postgres.Column{{Name: "id", Field: "number"}, {Name: "item"}},
		Key:     []string{"id"},
	})
	// b.Bolt("out", out).Shuffle("orders").Tick(100 * time.Millisecond)

	_, ok := out().(bolt.Snapshotter)
	fmt.Println(ok)
	// Output: true
}

// The same under the strategy barrier, which rolls back all tasks together.
func Example_hold() {
	out := postgres.Bolt(postgres.Config{
		Open:    func() (*sql.DB, error) { return sql.Open("pgx", os.Getenv("SHOP_DSN")) },
		Table:   "shop.orders",
		Columns: []postgres.Column{{Name: "id", Field: "number"}, {Name: "item"}},
		Key:     []string{"id"},
		Hold:    true, // in shop.orders_held, until the checkpoint is committed
	})
	// b.Bolt("out", out).Shuffle("orders")

	_, ok := out().(bolt.Committer)
	fmt.Println(ok)
	// Output: true
}
