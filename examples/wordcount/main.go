package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/pprof"

	"github.com/askback/askback"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/task"
)

func main() {
	kills := flag.Int("kill", 3, "")
	strategy := flag.String("strategy", "backtrack", "")
	parallel := flag.Int("parallel", 2, "")
	passes := flag.Int("passes", 1, "")
	cpu := flag.String("cpu", "", "")
	seed := flag.Uint64("seed", 1, "")
	pairs := flag.Bool("pairs", false, "")
	flag.Parse()
	src := spout.Files("/usr/local/go/src").Match("**/*.go").Cut(64<<10, cutBetweenWords)
	b, res := wordcount(spout.Repeat(src, *passes), *parallel)
	if *cpu != "" {
		f, _ := os.Create(*cpu)
		pprof.StartCPUProfile(f)
	}
	opts := []askback.Option{askback.WithStrategy(*strategy), askback.WithKills(*kills, *seed), askback.OnRecovery(func(r task.Recovery) {
		fmt.Println("killed", r.Alias, r.Incarnation, r.Cause, r.Asked.String(), r.Missed, r.Replayed, r.Reprocessed, r.Duplicates, r.Load, r.Took)
	})}
	if *pairs {
		opts = append(opts, askback.WithPairs())
	}
	rep, err := askback.Run(context.Background(), b, opts...)
	if *cpu != "" {
		pprof.StopCPUProfile()
	}
	fmt.Println(err)
	if rep == nil {
		return
	}
	var words, distinct int64
	for _, n := range res.Load().n.All() {
		words += n
		distinct++
	}
	fmt.Println(words, distinct, rep.Elapsed, float64(words)/rep.Elapsed.Seconds()/1e6, "M/s")
	for _, t := range rep.Tasks {
		fmt.Printf("%v %v %+v %+v\n", t.Alias, t.State, t.Counters, t.Core)
	}
	fmt.Printf("%+v\n", rep.Transport)
}
