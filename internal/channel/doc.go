// Package channel defines how tuples and signals travel between tasks.
//
// # Nouns
//
// A Frame is consecutive items of one virtual channel in one message: a fixed binary header, then the items as package
// tuple encodes them. A Builder is a channel's open frame. A Signal is a message between the two ends of a channel
// about it: hello, high-water mark, ACK, ASK, refusal. A Transport carries both as opaque messages from task to task;
// memchan is the one for tests and simulation, natschan the one over NATS, and channeltest is the suite that each of
// them must pass.
//
// # The wire
//
// Numbers are little endian. A frame:
//
//	 0  magic "AF"        8  plan          32  birth
//	 2  version          16  incarnation   40  before (CRC-32C)
//	 3  flags            20  count         44  after  (CRC-32C)
//	 4  channel          24  first         48  payload length
//	                                       52  CRC-32C of bytes 0-51
//	56  payload: count items
//
// A signal:
//
//	0  magic "AS"        8  plan          24  seq        56  sum (CRC-32C)
//	2  version          16  incarnation   32  have       60  flags
//	3  kind             20  for           40  consumed   61  ranges (msgid.Ranges)
//	4  channel                            48  wave        …  CRC-32C of all before it
//
// Before and after are the channel's running checksum: CRC-32C over the bytes of all its items since sequence number 1.
// They do not depend on where frames begin and end, so a replay that cuts the stream into other frames continues the same
// checksum, and one number shows whether two histories are the same. After also proves that the payload arrived whole.
//
// # The caller's duties
//
// A sealed frame is immutable and shared: its Raw may be published and retained at once. Only Restamp and
// Stamp write to it, and only its owner may call those. A message's payload belongs to the receiver, and a decoded frame points
// into it.
//
// # Caveats
//
// A transport loses messages: without an error, at any time, any number. It delivers in order from one sender to one
// receiver on Data as long as it loses none. It may deliver a message twice. The recovery machine detects holes,
// duplicates, damage and stale incarnations by the content of frames and signals.
package channel
