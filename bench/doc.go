// Package bench measures the runtime: word count under each recovery strategy beside a hand-written loop without
// any framework, and the parts of the hot path one by one.
//
// A claim made from it is benchstat over ten runs:
//
//	go test ./bench -run '^$' -bench WordCount -count 10 | tee new.txt
//	go tool benchstat new.txt
//
// What counts are the ratios within one run: absolute times say more about the machine.
package bench
