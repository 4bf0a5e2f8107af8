package natschan_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/channel/natschan/embed"
)

// BenchmarkNats sends frames of 16 KiB from one transport to another. The sender keeps within a window, as flow
// control makes it.
func BenchmarkNats(b *testing.B) {
	for _, c := range []struct{ name, listen string }{{"InProcess", ""}, {"TCP", "127.0.0.1:0"}} {
		b.Run(c.name, func(b *testing.B) {
			s := startServer(b, embed.Options{Listen: c.listen})
			cfg := natschan.Config{Topology: "wc", URL: s.URL()}
			if c.listen == "" {
				cfg.InProcess = s.InProcess()
			}
			source, target := dial(b, cfg), dial(b, cfg)
			var arrived atomic.Int64
			if _, err := target.Join(count3, func(channel.Message) { arrived.Add(1) }); err != nil {
				b.Fatal(err)
			}
			from := join(b, source, split1)
			frame := make([]byte, 16<<10)
			const window = 256 // 4 MiB
			wait := func(n int64) {
				for end := time.Now().Add(timeout); arrived.Load() < n; time.Sleep(20 * time.Microsecond) {
					if time.Now().After(end) {
						b.Fatalf("%d of %d arrived", arrived.Load(), n)
					}
				}
			}
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			sent := int64(0)
			for b.Loop() {
				if err := from.Send(channel.Data, count3, frame); err != nil {
					b.Fatal(err)
				}
				sent++
				wait(sent - window)
			}
			wait(sent)
		})
	}
}
