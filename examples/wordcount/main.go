// Wordcount counts the words of the .go files of Go's own source tree, or of the paths given, while tasks of the
// running topology are killed, and checks the result against a plain sequential count.
//
// This file is the whole topology. Package wordcheck stands around it: flags, kills, a progress bar, and the check.
package main

import (
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/wordcheck"
	"github.com/askback/askback/internal/words"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
)

// wordcount counts the words of lines. The bolt result receives each word once, with its total, when all is read.
func wordcount(lines spout.Source, parallel int, result func() bolt.Bolt) topology.Topology {
	b := topology.New("wordcount")
	b.Spout("lines", lines).Fields("line")
	b.Bolt("split", func() bolt.Bolt { return words.Split{} }).Parallel(parallel).Shuffle("lines").Fields("word")
	b.Bolt("count", func() bolt.Bolt { return &words.Count{} }).Parallel(parallel).GroupBy("split", "word").Fields("word", "n")
	b.Bolt("result", result).Global("count")
	return b
}

func main() { wordcheck.Main(wordcount) }
