package streamtest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/stream"
	"github.com/askback/askback/stream/streamtest"
)

// A Visit is one line of an access log.
type Visit struct {
	Path  string
	Bytes int64
}

// A Load is the number of bytes sent for one path.
type Load struct{ Visits, Bytes int64 }

// perPath is the topology under test: it sums up visits, and reports every minute.
func perPath(visits stream.Stream[Visit]) stream.Stream[stream.Entry[string, Load]] {
	pages := stream.Filter(visits, "pages", func(v Visit) bool { return !strings.HasSuffix(v.Path, ".css") })
	paths := stream.KeyBy(pages, func(v Visit) string { return v.Path }).Every(time.Minute)
	return stream.Aggregate(paths, "load", func(l *Load, v Visit) {
		l.Visits++
		l.Bytes += v.Bytes
	})
}

// In a test, t is the test function's argument, and results are compared rather than printed.
func Example() {
	t := new(testing.T)
	h := streamtest.New(t)
	visits := streamtest.In[Visit](h, "visits")
	out := streamtest.Out(h, "out", perPath(visits.Stream()))

	visits.Send(Visit{"/", 100}, Visit{"/style.css", 5}, Visit{"/about", 20})
	h.Settle()
	h.Kill("load") // its state and the messages on their way are gone
	visits.Send(Visit{"/", 200})
	h.Advance(time.Minute)
	fmt.Println(out.Values())

	visits.Send(Visit{"/about", 30})
	h.Restart() // the whole process crashes, and continues from its logs
	h.Advance(time.Minute)
	fmt.Println(out.Values()[2:])
	// Output:
	// [{/ {2 300}} {/about {1 20}}]
	// [{/about {2 50}}]
}

func ExampleKillEverywhere() {
	// func TestPerPath(t *testing.T) {
	streamtest.KillEverywhere(new(testing.T), func(t testing.TB, h *streamtest.Harness) {
		visits := streamtest.In[Visit](h, "visits")
		out := streamtest.Out(h, "out", perPath(visits.Stream()))
		for range 5 {
			visits.Send(Visit{"/", 100}, Visit{"/about", 20})
			h.Settle()
		}
		h.Finish()
		if got := fmt.Sprint(out.Values()); got != "[{/ {5 500}} {/about {5 100}}]" {
			t.Errorf("got %s", got)
		}
	})
	// }
}
