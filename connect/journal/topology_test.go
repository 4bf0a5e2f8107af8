package journal_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/jetstream"
	"github.com/askback/askback/connect/journal"
	"github.com/askback/askback/faults"
	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/topology"
)

// Lines pushed to a journal are counted exactly, although tasks are killed.
func TestTopology(t *testing.T) {
	server, err := embed.Start(embed.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop() })
	nc, err := nats.Connect(server.URL(), nats.MaxReconnects(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	j := open(t, nc, journal.Options{Stream: "words"})
	url := serve(t, j, journal.ServerOptions{})

	const senders, requests, lines, distinct = 4, 50, 1000, 100
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for r := range requests {
				var body strings.Builder
				for l := range lines {
					fmt.Fprintf(&body, "\"word%d\"\n", (s+r+l)%distinct)
				}
				if resp, text := post(t, url, body.String()); resp.StatusCode != 200 {
					t.Errorf("%s %s", resp.Status, text)
				}
			}
		})
	}
	all.Wait()

	for _, parallel := range []int{1, 2} {
		seed := uint64(time.Now().UnixNano())
		result := bolt.NewCollector()
		b := topology.New("words")
		b.Spout("lines", jetstream.Spout(nc, "words", jetstream.Data).Lines().Ends()).Parallel(parallel).Fields("word")
		b.Bolt("count", func() bolt.Bolt { return &words.Count{} }).Parallel(2).GroupBy("lines", "word").Fields("word", "n")
		b.Bolt("result", result.New).Global("count")
		report, err := askback.Run(t.Context(), b, askback.WithServer(server.URL()), faults.Kill(6, seed))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if report.Kills == 0 { // a short input may be over before all are done
			t.Errorf("seed %d: nothing was killed", seed)
		}
		if result.Len() != distinct {
			t.Errorf("seed %d: %d words", seed, result.Len())
		}
		for _, row := range result.Rows() {
			if row[1] != int64(senders*requests*lines/distinct) {
				t.Errorf("seed %d: %v", seed, row)
			}
		}
	}
}
