// Package memchan is the transport in memory: the twin of natschan for tests and for the simulator.
//
// It has no goroutine, no clock and no chance of its own. Send queues; the caller decides when which pending
// message arrives:
//
//	t := memchan.New(memchan.Config{Rand: rand.New(rand.NewPCG(seed, 0))})
//	a, _ := t.Join(source, onSource)
//	_, _ = t.Join(target, onTarget)
//	a.Send(channel.Data, target, frame)
//	t.Deliver(0) // calls onTarget
//
// # Nouns
//
// A pending message is on its way to one endpoint. Pending counts them and Peek shows them, oldest first. Deliverable
// lists those that may arrive next if the network keeps its promise of order on Data; delivering another one reorders.
// Faults are how often messages are lost, doubled, damaged, delayed or late, by the seeded source of chance in Config;
// Sever and Heal partition the network.
//
// # Caller's duties
//
// Call Deliver, Drain and Advance from one goroutine at a time. A deliver function may call Send, Join and Leave.
//
// # Caveats
//
// The number of pending messages is not bounded: sending without delivering fills the memory. The package is meant for
// tests.
package memchan
