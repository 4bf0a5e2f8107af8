package topology

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestPrint(t *testing.T) {
	b := New("clicks")
	b.Spout("web", source).Parallel(2).Fields("user", "page", "at").CPU(50)
	b.Spout("pages", source).Fields("page", "title")
	b.Bolt("join", factory).Parallel(4).GroupBy("web", "page").All("pages").Fields("user", "title").Stream("late", "user", "page").
		Tick(time.Second).Retry(3, 10*time.Millisecond).DeadLetter()
	b.Bolt("users", factory).Parallel(3).PartialKey("join", "user", "title").Fields("user", "n")
	b.Bolt("lookup", factory).Parallel(2).Nondeterministic(PerFrame).Custom("users", "by-region", first).Direct("join:late").Fields("user").Retry(1, 0)
	b.Bolt("index", factory).Parallel(2).LocalOrShuffle("lookup")
	b.Bolt("report", factory).Global("lookup").Shuffle("join:dead").CPU(200).Memory(1 << 29)
	p := build(t, b)
	golden(t, "clicks.txt", p.String())
	golden(t, "clicks.dot", p.Graphviz())
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s\n(go test -update writes it anew)", name, got, want)
	}
}

func TestNames(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{Optimistic.String(), "optimistic"},
		{PerFrame.String(), "pessimistic per frame"},
		{PerTuple.String(), "pessimistic per tuple"},
		{Pessimism(9).String(), "pessimism 9"},
		{GroupBy.String(), "group by"},
		{Custom.String(), "custom"},
		{LocalOrShuffle.String(), "local or shuffle"},
		{Grouping(9).String(), "grouping 9"},
		{New("wordcount").Name(), "wordcount"},
		{size(900), "900 B"},
		{size(3 << 19), "1.5 MiB"},
		{size(1 << 62), "4194304 TiB"},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}
