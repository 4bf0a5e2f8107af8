package files_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/spout"
)

// The lines of all Go files below a directory. A topology opens and calls the spouts; here the example does.
func ExampleSpout() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{"a.go": "package a\n\nvar x = 1\n", "b.txt": "not Go\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			log.Fatal(err)
		}
	}

	source := files.Spout(dir).Match("**/*.go")
	n, bytes, err := source.Total()
	fmt.Println(n, "file,", bytes, "bytes", err)

	s := source.New()
	if err := s.(spout.Opener).Open(bolttest.NewContext("lines", 0, 1)); err != nil {
		log.Fatal(err)
	}
	out := bolttest.NewEmitter("line")
	for err == nil {
		err = s.Next(context.Background(), out)
	}
	fmt.Println(out.Rows(""), err)
	// Output:
	// 1 file, 21 bytes <nil>
	// [[package a] [var x = 1]] EOF
}

// A part of the output appears when the snapshot that covers it is durable. A task does what the example does here.
func ExampleBolt() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	b := files.Bolt(filepath.Join(dir, "words"))()
	sink := b.(bolt.Committer)
	if err := b.(bolt.Preparer).Prepare(bolttest.NewContext("out", 0, 1)); err != nil {
		log.Fatal(err)
	}
	for _, word := range []string{"sea", "troubles"} {
		if err := b.Execute(context.Background(), bolttest.MustTuple("word n", word, 1), nil); err != nil {
			log.Fatal(err)
		}
		if _, err := sink.Snapshot(); err != nil { // goes to the task's log, and when it is durable:
			log.Fatal(err)
		}
		if err := sink.Commit(); err != nil {
			log.Fatal(err)
		}
	}
	for _, part := range []string{"words.00000001", "words.00000002"} {
		content, err := os.ReadFile(filepath.Join(dir, part))
		fmt.Printf("%s: %q %v\n", part, content, err)
	}
	// Output:
	// words.00000001: "sea\t1\n" <nil>
	// words.00000002: "troubles\t1\n" <nil>
}
