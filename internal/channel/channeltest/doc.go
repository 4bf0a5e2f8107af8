// Package channeltest is the conformance suite of every channel.Transport.
//
//	func TestConformance(t *testing.T) {
//		channeltest.Run(t, func(t *testing.T) channeltest.Network {
//			hub := …
//			return channeltest.Network{Dial: hub.dial}
//		})
//	}
//
// # Nouns
//
// A Network is the medium that transports connect to, such as a server. Each test gets a new one.
//
// # Caller's duties
//
// End the network with t.Cleanup, and check for leaked goroutines in TestMain: the suite closes every transport that it
// dials and expects no goroutine of it to remain.
//
// # Caveats
//
// The suite expects a network without faults: behaviour when a server dies is for each transport's own tests.
package channeltest
