package bench_test

import (
	"fmt"

	"github.com/askback/askback/bench"
)

func ExampleParseFault() {
	f, err := bench.ParseFault("freeze-sink@5s:1m")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(f.Kind, f.At, f.For)
	// Output: freeze-sink 5s 1m0s
}
