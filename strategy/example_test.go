package strategy_test

import (
	"fmt"

	"github.com/askback/askback/strategy"
)

func Example() {
	s, err := strategy.Named("backtrack")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%v: %s, %v\n", s, s.About(), s.Guarantee())
	// Output: backtrack: a restored task asks its sources for what it missed, exactly once
}
