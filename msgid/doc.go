// Package msgid names tuples in transit: sender, receiver and number.
//
// # The nouns
//
// An [Alias] is a task's logical name, "count.3". It outlives restarts; an [Incarnation] is the number of a start.
//
// A [Channel] is a virtual channel, "split.1>count.3": the tuples of one stream from one source task to one target
// task, over whatever connection carries them today.
//
// An [ID] is a message id, "split.1>count.3#42": a channel and a [Seq], which counts 1, 2, 3 … without holes.
//
// A [Set] is a message-id set, "split.0>count.1#48211-51002 split.1>count.1#47990-50781": [Ranges] of sequence numbers
// for each channel. The messages that a task has consumed, acknowledges and asks back are each a Set, and the protocol
// is arithmetic on them: a restored task lacks the messages that its sources have released, minus those it has. Sets
// obey the usual laws, and equal sets have equal text and equal bytes.
//
// # The caller's duties
//
// A name of a topology, operator or stream must pass [ValidName] before it is put into an Alias or a Channel. The
// functions that read text or bytes check it; composite literals do not. An invalid name has a text form that cannot be
// read back.
//
// # Caveats
//
// Ranges and Set are slices underneath: Add and Remove change the receiver in place, so clone before both of two copies
// are used. They have no locks.
package msgid
