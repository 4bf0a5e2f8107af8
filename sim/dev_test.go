package sim

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"
)

func TestDev(t *testing.T) {
	env := func(k, d string) string {
		if v := os.Getenv(k); v != "" {
			return v
		}
		return d
	}
	first, _ := strconv.Atoi(env("FIRST", "0"))
	n, _ := strconv.Atoi(env("N", "100"))
	show, _ := strconv.Atoi(env("SHOW", "1"))
	start := time.Now()
	bad, refused, kinds := 0, 0, map[string]int{}
	var steps uint64
	for i := range n {
		s := Scenario{Seed: uint64(first + i), Shape: env("SHAPE", ""), Strategy: env("STRATEGY", "backtrack")}
		if s.Shape == "" {
			strategy := s.Strategy
			s = ScenarioOf(s.Seed)
			if strategy == "none" {
				s.Strategy = "none"
			}
		}
		s.Bug = Bug(env("BUG", ""))
		s = s.Chosen()
		if f := os.Getenv("FAULTS"); f != "" {
			s.Faults, _ = ParseFaults(f)
		}
		if s.Strategy == "none" && os.Getenv("NONE") == "" {
			continue
		}
		r, err := Run(s)
		if err != nil {
			t.Fatal(err)
		}
		steps += r.Steps
		if r.Refused != "" {
			refused++
		}
		if r.Violation != "" {
			bad++
			v := r.Violation
			kinds[s.Shape+" "+r.Invariant+" "+v[:min(len(v), 60)]]++
			if bad <= show {
				fmt.Println(r)
			}
		}
	}
	fmt.Printf("%d bad, %d refused of %d, %v, %d steps\n", bad, refused, n, time.Since(start), steps)
	for k, v := range kinds {
		fmt.Printf("%5d %s\n", v, k)
	}
}
