package tracking

import "github.com/askback/askback/msgid"

// Stream is the stream on which tasks report the progress of tuple trees, to the operator that a strategy has added for
// them. Its fields are a root, and the XOR of the edges that are reported.
const Stream = "_ack"

// A root is the number of a tuple that a spout emitted: 20 bits for the spout's task, 12 for its incarnation and 32 that
// count. It is never 0.
const (
	taskBits        = 20
	incarnationBits = 12
	counterBits     = 32
)

// RootBase returns the root that a spout task begins to count from.
func RootBase(task int, inc msgid.Incarnation) uint64 {
	some := uint64(inc)&(1<<incarnationBits-1) | 1<<(incarnationBits-1)
	return uint64(task)<<(incarnationBits+counterBits) | some<<counterBits
}

// RootTask returns the number of the task that emitted a root.
func RootTask(root uint64) int { return int(root >> (incarnationBits + counterBits)) }

// EdgeSalt returns the salt of the edges of a channel; see Edge.
func EdgeSalt(channel uint32, inc msgid.Incarnation) uint64 {
	return scatter(uint64(channel)<<32 | uint64(uint32(inc)))
}

// Edge returns the number of the edge that a tuple is on its way from one task to another.
func Edge(salt uint64, seq msgid.Seq) uint64 { return scatter(salt + uint64(seq)) }

// scatter is a bijection in which each bit of x changes half of the bits (the finalizer of MurmurHash3).
func scatter(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
