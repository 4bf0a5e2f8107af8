// First is the README's topology: it counts the words of the .go files below the current directory, and writes the
// counts to words.txt, each word once.
package main

import (
	"bytes"

	"github.com/askback/askback/cli"
	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/stream"
)

func main() {
	t := stream.New("first")
	lines := stream.From(t, "lines", files.Lines("**/*.go"))
	words := stream.FlatMap(lines, "split", func(l files.Line, out func([]byte)) {
		for word := range bytes.FieldsSeq(l.Text) {
			out(word)
		}
	})
	counts := stream.KeyBy(words, func(w []byte) []byte { return w }).Count("count").Parallel(2)
	stream.To(counts.Global(), "words", files.Sink[stream.Entry[[]byte, int64]]("words.txt", files.Single()))
	cli.Main(t)
}
