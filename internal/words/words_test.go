package words

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"
)

// TestOf compares with a regular expression, on bytes of all kinds and lengths around 64.
func TestOf(t *testing.T) {
	word := regexp.MustCompile(`[0-9A-Za-z_]+`)
	rapid.Check(t, func(t *rapid.T) {
		alphabet := rapid.SampledFrom([]string{"a", "Z", "0", "9", "_", " ", "\x00", "\xff", "é", "@", "[", "`", "{", "/", ":", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})
		var line []byte
		for _, s := range rapid.SliceOfN(alphabet, 0, 150).Draw(t, "line") {
			line = append(line, s...)
		}
		want := word.FindAll(line, -1)
		n := 0
		for w := range Of(line) {
			if n >= len(want) || string(w) != string(want[n]) {
				t.Fatalf("word %d of %q is %q, want %q", n, line, w, want)
			}
			n++
		}
		if n != len(want) {
			t.Fatalf("%d words of %q, want %q", n, line, want)
		}
	})
}

// TestOfStops: a caller may leave the loop.
func TestOfStops(t *testing.T) {
	for w := range Of([]byte("one two three")) {
		if string(w) != "one" {
			t.Fatalf("the first word is %q", w)
		}
		break
	}
}

func BenchmarkOf(b *testing.B) {
	line := []byte("	for i, c := range line[base:min(base+64, len(line))] { // a line of Go, with 19 words or so in it")
	b.SetBytes(int64(len(line)))
	n := 0
	for b.Loop() {
		for range Of(line) {
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/word")
}

// TestIs asks about every byte.
func TestIs(t *testing.T) {
	word := regexp.MustCompile(`^[0-9A-Za-z_]$`)
	for c := range 256 {
		if got, want := Is(byte(c)), word.Match([]byte{byte(c)}); got != want {
			t.Errorf("Is(%q) = %t", rune(c), got)
		}
	}
}
