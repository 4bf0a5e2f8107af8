package msgid

// A Seq is a sequence number on one channel: 1, 2, 3 … without holes. Zero means "none yet".
type Seq uint64

// An ID is a message id: the channel a tuple travels and its sequence number there, "split.1>count.3#42".
type ID struct {
	Channel Channel
	Seq     Seq
}

// A Range is the sequence numbers First to Last, both included. It is empty when Last < First.
type Range struct{ First, Last Seq }
