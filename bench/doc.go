// Package bench measures the runtime, and compares its recovery strategies while something goes wrong.
//
// The nouns:
//
//   - A Workload is a topology with a paced source, and a check for lost tuples and for tuples counted twice.
//   - A Spec is one measurement: a workload, a strategy, a rate, a Fault.
//   - A Comparison measures strategies in turn, A B C A B C, each in a process of its own. Package report holds its
//     result; askback bench is its command line.
//   - Contenders are what can be compared: the strategies, and backtrack with pessimistic bolts.
//
// How it is measured:
//
//   - Sources emit by the clock, or as fast as they can. With a rate, a latency counts from the moment when the tuple
//     was due, so that a source that is held up makes it worse. Without one it counts from the emission.
//   - Results are counted outside of the topology, each once: repetitions of a restored task are not new. A strategy
//     that restores its bolts is judged by their state, any other by what has arrived.
//   - Results are sampled every 10 ms. A time to recover below that is reported as measured, and means "at once".
//   - Word counts are compared key by key. Tuples of other workloads are numbered, and a sum over a scattered form
//     of the numbers shows whether each has been counted once.
//   - When a process is killed whose strategy restores nothing, its sources go on where they were at the last
//     sample; tuples in flight are lost.
//
// Beside it there are Go benchmarks: word count under each strategy beside a hand-written loop without any framework,
// and the parts of the hot path one by one. A claim made from them is benchstat over ten runs:
//
//	go test ./bench -run '^$' -bench WordCount -count 10 | tee new.txt
//	go tool benchstat new.txt
//
// Compare the ratios within one run: absolute times depend on the machine.
package bench
