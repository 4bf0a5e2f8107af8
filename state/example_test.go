package state_test

import (
	"fmt"

	"github.com/askback/askback/state"
)

func Example() {
	store := state.NewStore() // a task has one; a bolt passes its context to Open instead
	counts, err := state.Open[string, int64](store, "counts")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, word := range []string{"to", "be", "or", "not", "to", "be"} {
		*counts.At([]byte(word))++
	}

	store.Begin(store.WantFull())
	*counts.At([]byte("be"))++ // too late for this snapshot
	for done := false; !done; {
		if done, err = store.Step(1000); err != nil {
			fmt.Println(err)
			return
		}
	}
	snapshot := store.Take()

	restored := state.NewStore()
	counts, _ = state.Open[string, int64](restored, "counts")
	if err := restored.Apply(snapshot); err != nil {
		fmt.Println(err)
		return
	}
	for word, n := range counts.All() {
		fmt.Println(word, n)
	}
	// Output:
	// to 2
	// be 2
	// or 1
	// not 1
}
