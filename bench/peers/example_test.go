package peers_test

import (
	"context"
	"fmt"
	"time"

	"github.com/askback/askback/bench/peers"
)

func Example() {
	ctx := context.Background()
	for _, system := range peers.Systems {
		if err := peers.Build(ctx, system, ""); err != nil {
			fmt.Println(err)
			return
		}
		result, err := peers.Run(ctx, peers.Spec{System: system, Workload: "keyed", Duration: 5 * time.Second}, nil)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s, %s: %.0f tuples/s\n", result.System, result.Guarantee, result.TuplesPerSecond)
	}
}
