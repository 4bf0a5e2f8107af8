package natslog_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/checkpointtest"
	"github.com/askback/askback/internal/checkpoint/natslog"
)

// BenchmarkAppend appends determinant records of a usual size, one after another.
func BenchmarkAppend(b *testing.B) {
	for _, always := range []bool{false, true} {
		b.Run(fmt.Sprintf("sync-always=%v", always), func(b *testing.B) {
			nc := connect(b, serve(b, func(o *server.Options) { o.SyncAlways = always }))
			w, _, err := checkpoint.Open(ctx, open(b, nc, natslog.Options{Topology: "words"}), alias, checkpoint.Options{})
			if err != nil {
				b.Fatal(err)
			}
			body := make([]byte, 100)
			b.ReportAllocs()
			for b.Loop() {
				if err := w.Append(ctx, body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkOpen restores a task: a full snapshot of 1 MB, 20 increments of 50 kB and 1,000 determinant records, behind as
// much that is not purged yet.
func BenchmarkOpen(b *testing.B) {
	nc := connect(b, serve(b))
	l := open(b, nc, natslog.Options{Topology: "words"})
	w, _, err := checkpoint.Open(ctx, l, alias, checkpoint.Options{})
	if err != nil {
		b.Fatal(err)
	}
	upload := func(size int, full bool) {
		for u, done := w.Begin([][]byte{make([]byte, size)}, full).Covers(w.Mark()), false; !done; {
			if done, err = u.Step(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
	determinants := func(n int) {
		for range n {
			if err := w.Append(ctx, make([]byte, 100)); err != nil {
				b.Fatal(err)
			}
		}
	}
	for range 2 {
		upload(1<<20, true)
		for range 20 {
			determinants(1000)
			upload(50<<10, false)
		}
		determinants(1000)
	}
	for name, log := range map[string]checkpoint.Log{"newest": l, "all": checkpointtest.Headless{Log: l}} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				_, h, err := checkpoint.Open(ctx, log, alias, checkpoint.Options{})
				if err != nil || len(h.Chain) != 21 || len(h.Determinants) != 1000 {
					b.Fatalf("%d snapshots, %d determinants: %v", len(h.Chain), len(h.Determinants), err)
				}
			}
		})
	}
}
