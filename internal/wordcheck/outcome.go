package wordcheck

import (
	"bufio"
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"

	"github.com/askback/askback"
	"github.com/askback/askback/strategy"
)

// An Outcome is what a run came to; -json prints it.
type Outcome struct {
	Words          int64             `json:"words"`
	Distinct       int               `json:"distinct"`
	Lost           *int64            `json:"lost"`       // words counted too few times; null if not verified
	Duplicated     *int64            `json:"duplicated"` // words counted too many times; null if not verified
	Kills          int               `json:"kills"`
	Recoveries     int               `json:"recoveries"`
	Missed         uint64            `json:"missed"`
	Replayed       uint64            `json:"replayed"`
	Reprocessed    uint64            `json:"reprocessed"`
	Seconds        float64           `json:"seconds"`
	WordsPerSecond float64           `json:"words_per_second"`
	Strategy       strategy.Strategy `json:"strategy"`
	Resumed        bool              `json:"resumed"`
	Files          int               `json:"files"`
	Bytes          int64             `json:"bytes"`
	Seed           uint64            `json:"seed"`
	RecoveryMax    float64           `json:"recovery_max_ms"`
}

func summarize(s *settings, r *askback.Report, counts map[string]int64) *Outcome {
	total := r.Totals()
	o := &Outcome{
		Distinct: len(counts), Kills: r.Kills, Recoveries: len(r.Recoveries), Missed: total.Missed, Replayed: total.Replayed,
		Seconds: r.Elapsed.Seconds(), Strategy: r.Strategy, Resumed: r.Resumed, Seed: s.seed,
	}
	for _, n := range counts {
		o.Words += n
	}
	for _, rec := range r.Recoveries {
		o.Reprocessed += rec.Reprocessed
		o.RecoveryMax = max(o.RecoveryMax, float64(rec.Took.Microseconds())/1000)
	}
	o.WordsPerSecond = float64(o.Words) / o.Seconds
	return o
}

// compare notes what was counted too few or too many times.
func (o *Outcome) compare(got, want map[string]int64) {
	var lost, duplicated int64
	for word, n := range want {
		lost += max(0, n-got[word])
	}
	for word, n := range got {
		duplicated += max(0, n-want[word])
	}
	o.Lost, o.Duplicated = &lost, &duplicated
}

func (o *Outcome) wrong() bool { return o.Lost != nil && (*o.Lost != 0 || *o.Duplicated != 0) }

// counts returns the result as a map. The topology has ended.
func (r *result) counts() map[string]int64 {
	counts := make(map[string]int64, r.n.Len())
	maps.Insert(counts, r.n.All())
	return counts
}

type frequency struct {
	word string
	n    int64
}

func mostFrequent(counts map[string]int64, k int) []frequency {
	all := make([]frequency, 0, len(counts))
	for w, n := range counts {
		all = append(all, frequency{w, n})
	}
	slices.SortFunc(all, func(a, b frequency) int { return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(a.word, b.word)) })
	return all[:min(k, len(all))]
}

// writeCounts writes word<TAB>count, sorted by bytes. The file appears whole or not at all.
func writeCounts(path string, counts map[string]int64) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the error that counts is the one at hand
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	for _, word := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(w, "%s\t%d\n", word, counts[word]) // the writer keeps its first error for Flush
	}
	if err := w.Flush(); err != nil {
		_ = f.Close()
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Chmod(f.Name(), 0o644); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// startProfile begins a CPU profile, if a file is given.
func startProfile(path string) (stop func(), err error) {
	if path == "" {
		return func() {}, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}
