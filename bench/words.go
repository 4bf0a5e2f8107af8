package bench

import (
	"context"
	"encoding/binary"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// wordcount counts the words of a text that is read over and over. Words have no numbers, so that they are as short
// as everywhere; now and then a line is followed by a probe, which travels as a word does and is timed instead of
// counted.
func wordcount(s *Spec, restores bool) (*job, error) {
	text, err := GoSource(s.TextLimit)
	if err != nil {
		return nil, err
	}
	j := &job{meter: newMeter(s, 1, s.Parallel, restores), sink: "count"}
	results := make([]map[string]int64, s.Parallel)
	lines := int64(text.Len())
	b := topology.New("wordcount")
	b.Spout("lines", j.feed(func(n int64, out spout.Emitter) error {
		err := out.Row().Bytes(text.Line(int(n % lines))).Emit()
		if err == nil && j.sampled(n) {
			err = out.Row().Bytes(probe(n)).Emit()
		}
		return err
	})).Fields("line")
	s.middle(b.Bolt("split", bolt.Func(splitOrPass))).Shuffle("lines").Fields("word")
	b.Bolt("count", func() bolt.Bolt { return &wordSink{sink: sink{m: j.meter}, results: results} }).
		Parallel(s.Parallel).GroupBy("split", "word")
	j.topology = b
	j.check = func(*Resume) (verdict, error) {
		times := make([]int64, lines) // how often each line was emitted
		for n, most := int64(0), j.sources[0].n.Load(); n < lines; n++ {
			times[n] = (most - n + lines - 1) / lines
		}
		want := map[string]*int64{}
		for i, k := range times {
			for w := range words.Of(text.Line(i)) {
				n := want[string(w)]
				if n == nil {
					n = new(int64)
					want[string(w)] = n
				}
				*n += k
			}
		}
		sums := make(map[string]int64, len(want))
		for w, n := range want {
			sums[w] = *n
		}
		return compare(merged(results), sums), nil
	}
	return j, nil
}

// probe is a line that no text has: it begins with a zero byte.
func probe(n int64) []byte { return binary.BigEndian.AppendUint64([]byte{0}, uint64(n)) }

func isProbe(b []byte) bool { return len(b) == 9 && b[0] == 0 }

func splitOrPass(ctx context.Context, t tuple.Tuple, out bolt.Emitter) error {
	if line := t.Bytes(0); isProbe(line) {
		return out.Row().Bytes(line).Emit()
	}
	return words.Split{}.Execute(ctx, t, out)
}

// A wordSink counts words, and times probes.
type wordSink struct {
	sink
	words.Count
	results []map[string]int64
	task    int
}

func (w *wordSink) Prepare(ctx bolt.Context) error {
	w.task = ctx.Task().Alias.Index
	if err := w.sink.Prepare(ctx); err != nil {
		return err
	}
	return w.Count.Prepare(ctx)
}

func (w *wordSink) Execute(_ context.Context, t tuple.Tuple, _ bolt.Emitter) error {
	word := t.Bytes(0)
	if isProbe(word) {
		w.time(int64(binary.BigEndian.Uint64(word[1:])))
		return nil
	}
	*w.N.At(word)++
	w.tick()
	return nil
}

// Finish hands the counts over.
func (w *wordSink) Finish(ctx context.Context, out bolt.Emitter) error {
	got := make(map[string]int64, w.N.Len())
	for word, n := range w.N.All() {
		got[word] = n
	}
	w.results[w.task] = got
	return w.sink.Finish(ctx, out)
}

// merged adds up the results of all tasks.
func merged[K comparable](results []map[K]int64) map[K]int64 {
	all := map[K]int64{}
	for _, r := range results {
		for k, n := range r {
			all[k] += n
		}
	}
	return all
}
