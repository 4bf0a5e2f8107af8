package postgres_test

import (
	"database/sql"
	"fmt"
	"log"
	"os"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/postgres"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/topology"
)

// A topology that keeps the newest count of each word in a table. The sink opens the database when a task begins.
func ExampleBolt() {
	b := topology.New("words")
	b.Spout("count", spout.Rows([][]any{{"to", 1}, {"be", 1}, {"to", 2}})).Fields("word", "n")
	b.Bolt("out", postgres.Bolt(postgres.Config{
		Open:    func() (*sql.DB, error) { return sql.Open("pgx", os.Getenv("DSN")) },
		Table:   "words",
		Columns: postgres.Columns("word", "n"),
		Key:     []string{"word"}, // a word that is there is updated
	})).Parallel(2).GroupBy("count", "word").Tick(100 * time.Millisecond)

	plan, err := b.Build()
	if err != nil {
		log.Fatal(err)
	}
	out := plan.Operator("out")
	fmt.Println(len(out.Tasks), "tasks,", out.Inputs[0].Grouping, "field", out.Inputs[0].Fields)
	// Output: 2 tasks, group by field [0]
}

// A sink of orders, right under every strategy that takes snapshots.
func ExampleSink() {
	type Order struct {
		Number int64 `db:"id"`
		Item   string
		Placed time.Time
	}
	var orders stream.Sink[Order] = postgres.Sink[Order](postgres.Config{
		Open:  func() (*sql.DB, error) { return sql.Open("pgx", os.Getenv("SHOP_DSN")) },
		Table: "shop.orders",
		Key:   []string{"id"},
		Hold:  true, // in shop.orders_held, until the snapshot counts
	})
	// stream.To(placed, "orders", orders)

	_, commits := orders.New().(bolt.Committer)
	fmt.Println(commits)
	// Output: true
}
