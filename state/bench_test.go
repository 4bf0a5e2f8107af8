package state

import (
	"bytes"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"github.com/askback/askback/internal/must"
)

// text returns words as a text has them: few of them often, most of them rarely, about 8 bytes long.
func textOf(distinct, length int) [][]byte {
	r := rand.New(rand.NewSource(1))
	vocabulary := make([][]byte, distinct)
	for i := range vocabulary {
		vocabulary[i] = fmt.Appendf(nil, "%x%s", i*7919, "tion"[:r.Intn(5)])
	}
	r.Shuffle(distinct, func(i, j int) { vocabulary[i], vocabulary[j] = vocabulary[j], vocabulary[i] })
	zipf := rand.NewZipf(r, 1.1, 2, uint64(distinct-1))
	words := make([][]byte, length)
	for i := range words {
		words[i] = vocabulary[zipf.Uint64()]
	}
	return inARow(words)
}

// inARow lays words side by side, as the tuples of a frame are: finding them must not cost a cache miss.
func inARow(words [][]byte) [][]byte {
	all := bytes.Join(words, nil)
	for i, w := range words {
		words[i], all = all[:len(w)], all[len(w):]
	}
	return words
}

func filled(b testing.TB, n int) (*Store, *Map[string, int64], [][]byte) {
	s := NewStore()
	m := must.Get(Open[string, int64](s, "words"))
	words := make([][]byte, n)
	for i := range words {
		words[i] = fmt.Appendf(nil, "%08x", uint32(i)*2654435761)
		*m.At(words[i])++
	}
	rand.New(rand.NewSource(1)).Shuffle(n, func(i, j int) { words[i], words[j] = words[j], words[i] })
	return s, m, inARow(words)
}

func BenchmarkAt(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("text/%d", n), func(b *testing.B) {
			m := must.Get(Open[string, int64](NewStore(), "words"))
			words := textOf(n, 1<<20)
			for _, w := range words {
				*m.At(w)++
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				*m.At(words[i&(1<<20-1)])++
			}
		})
		b.Run(fmt.Sprintf("uniform/%d", n), func(b *testing.B) {
			_, m, words := filled(b, n)
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				*m.At(words[i])++
				if i++; i == n {
					i = 0
				}
			}
		})
	}
}

func BenchmarkEntryInt(b *testing.B) {
	m := must.Get(Open[int64, int64](NewStore(), "ids"))
	for i := 0; b.Loop(); i++ {
		*m.Entry(int64(i % 100_000))++
	}
}

// BenchmarkGoMap is what At(text) costs with a plain Go map of pointers.
func BenchmarkGoMap(b *testing.B) {
	m := map[string]*int64{}
	words := textOf(100_000, 1<<20)
	for _, w := range words {
		if m[string(w)] == nil {
			m[string(w)] = new(int64)
		}
	}
	for i := 0; b.Loop(); i++ {
		*m[string(words[i&(1<<20-1)])]++
	}
}

// BenchmarkNew inserts a million new keys, and reports the longest that one of them took.
func BenchmarkNew(b *testing.B) {
	const n = 1_000_000
	words := make([][]byte, n)
	for i := range words {
		words[i] = fmt.Appendf(nil, "%08x", uint32(i)*2654435761)
	}
	var longest time.Duration
	for b.Loop() {
		m := must.Get(Open[string, int64](NewStore(), "words"))
		for i := 0; i < n; i += 10 {
			start := time.Now()
			for _, w := range words[i : i+10] {
				*m.At(w)++
			}
			longest = max(longest, time.Since(start))
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/key")
	b.ReportMetric(float64(longest.Microseconds()), "µs-longest")
}

// BenchmarkSnapshot snapshots a million keys of which all, or one in a hundred, have changed, and reports the
// longest that Begin, one Step of 1000 and Take took, and an At of a frozen entry.
func BenchmarkSnapshot(b *testing.B) {
	const n = 1_000_000
	for _, c := range []struct {
		name  string
		full  bool
		every int
	}{{"full", true, 1}, {"increment-all", false, 1}, {"increment-1%", false, 100}} {
		b.Run(c.name, func(b *testing.B) {
			s, m, words := filled(b, n)
			s.Begin(true)
			for must.Get(s.Step(n)) == false {
			}
			s.Take()
			var begin, step, take, at time.Duration
			var size int
			timed := func(longest *time.Duration, f func()) {
				start := time.Now()
				f()
				*longest = max(*longest, time.Since(start))
			}
			for b.Loop() {
				b.StopTimer()
				for i := 0; i < n; i += c.every {
					*m.At(words[i])++
				}
				b.StartTimer()
				timed(&begin, func() { s.Begin(c.full) })
				next := 0
				for done := false; !done; {
					timed(&step, func() { done = must.Get(s.Step(1000)) })
					timed(&at, func() { // as the task goes on meanwhile
						for range 100 {
							*m.At(words[next%n])++
							next++
						}
					})
				}
				timed(&take, func() { size = len(s.Take()) })
			}
			b.ReportMetric(float64(begin.Microseconds()), "µs-begin")
			b.ReportMetric(float64(step.Microseconds()), "µs-step")
			b.ReportMetric(float64(take.Microseconds()), "µs-take")
			b.ReportMetric(float64(at.Microseconds()), "µs-100at")
			b.ReportMetric(float64(size), "B")
		})
	}
}

// BenchmarkApply restores a full snapshot, and an increment in which every entry has changed.
func BenchmarkApply(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		s, m, words := filled(b, n)
		take := func(full bool) []byte {
			s.Begin(full)
			for must.Get(s.Step(1<<30)) == false {
			}
			return s.Take()
		}
		full := take(true)
		for _, w := range words {
			*m.At(w)++
		}
		increment := take(false)
		b.Run(fmt.Sprintf("full/%d", n), func(b *testing.B) {
			for b.Loop() {
				s := NewStore()
				must.Get(Open[string, int64](s, "words"))
				if err := s.Apply(full); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
		b.Run(fmt.Sprintf("increment/%d", n), func(b *testing.B) {
			s := NewStore()
			must.Get(Open[string, int64](s, "words"))
			for b.Loop() {
				b.StopTimer()
				if err := s.Apply(full); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
				if err := s.Apply(increment); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/key")
		})
	}
}
