package sqlsink_test

import (
	"database/sql"
	"fmt"
	"log"
	"os"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/askback/askback/bolt/sqlsink"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
)

// Orders as rows of a table. It is not run here: that takes a database.
func Example() {
	b := topology.New("orders")
	b.Spout("orders", spout.Rows([][]any{{1, "tea"}, {2, "bread"}})).Fields("number", "item")
	b.Bolt("out", sqlsink.New(sqlsink.Config{
		Open:    func() (*sql.DB, error) { return sql.Open("pgx", os.Getenv("ORDERS_DSN")) },
		Table:   "shop.orders",
		Columns: []sqlsink.Column{{Name: "id", Field: "number"}, {Name: "item"}},
		Key:     []string{"id"},
	})).Shuffle("orders").Tick(100 * time.Millisecond)

	plan, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(plan.Tasks), "tasks")
	// Output: 2 tasks
}
