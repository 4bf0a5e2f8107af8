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
	"github.com/askback/askback/channel/natschan/embed"
	"github.com/askback/askback/journal"
	"github.com/askback/askback/spout/jetspout"
	"github.com/askback/askback/state"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// Count counts words and emits the totals when its input ends.
type Count struct{ n *state.Map[string, int64] }

func (c *Count) Prepare(ctx bolt.Context) (err error) {
	c.n, err = state.Open[string, int64](ctx, "counts")
	return err
}

func (c *Count) Execute(t tuple.Tuple, _ bolt.Emitter) error {
	*c.n.At(t.Bytes(0))++
	return nil
}

func (c *Count) Finish(out bolt.Emitter) error {
	for word, n := range c.n.All() {
		if err := out.Row().String(word).Int(n).Emit(); err != nil {
			return err
		}
	}
	return nil
}

// What is pushed to a journal is counted exactly, although tasks are killed.
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

	const senders, requests, lines, words = 4, 50, 1000, 100
	var all sync.WaitGroup
	for s := range senders {
		all.Go(func() {
			for r := range requests {
				var body strings.Builder
				for l := range lines {
					fmt.Fprintf(&body, "\"word%d\"\n", (s+r+l)%words)
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
		b.Spout("lines", jetspout.Stream(nc, "words").Lines().Ends().Take(jetspout.Data)).Parallel(parallel).Fields("word")
		b.Bolt("count", func() bolt.Bolt { return &Count{} }).Parallel(2).GroupBy("lines", "word").Fields("word", "n")
		b.Bolt("result", result.New).Global("count")
		report, err := askback.Run(t.Context(), b, askback.WithServer(server.URL()), askback.WithKills(6, seed))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if report.Kills == 0 { // a short input may be over before all are done
			t.Errorf("seed %d: nothing was killed", seed)
		}
		if result.Len() != words {
			t.Errorf("seed %d: %d words", seed, result.Len())
		}
		for _, row := range result.Rows() {
			if row[1] != int64(senders*requests*lines/words) {
				t.Errorf("seed %d: %v", seed, row)
			}
		}
	}
}
