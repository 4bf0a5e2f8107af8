// Wordcount counts the words of the .go files of Go's own source tree, or of the paths given, while tasks of the
// running topology are killed, and checks the result against a plain sequential count.
//
// This file is the whole topology. Package wordcheck stands around it: flags, kills, a progress bar, and the check.
package main

import (
	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/internal/wordcheck"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/stream"
	"github.com/askback/askback/topology"
)

// wordcount counts the words of lines. The sink receives each word once, with its total, when all is read. With as many
// readers as tasks, lines, text and split are one operator; with fewer, the text of the lines is dealt out.
func wordcount(c wordcheck.Config) topology.Topology {
	t := stream.New("wordcount")
	lines := stream.From(t, "lines", c.Lines).Parallel(c.Readers)
	text := stream.Map(lines, "text", func(l files.Line) []byte { return l.Text })
	split := stream.FlatMap(text, "split", func(line []byte, out func([]byte)) {
		for word := range words.Of(line) {
			out(word)
		}
	}).Parallel(c.Parallel)
	counts := stream.KeyBy(split, func(word []byte) []byte { return word }).Count("count").Parallel(c.Parallel)
	stream.To(counts.Global(), "result", c.Result)
	return t
}

func main() { wordcheck.Main(wordcount) }
