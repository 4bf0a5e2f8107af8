package words_test

import (
	"context"
	"fmt"

	"github.com/askback/askback/bolt/bolttest"
	"github.com/askback/askback/internal/words"
)

func Example() {
	out := bolttest.NewEmitter("word")
	_ = words.Split{}.Execute(context.Background(), bolttest.MustTuple("line", "to be, or not to be"), out)
	fmt.Println(out.Rows(""))
	// Output: [[to] [be] [or] [not] [to] [be]]
}
