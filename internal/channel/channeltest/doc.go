// Package channeltest is what every channel.Transport must pass.
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
// A Network is what transports are dialed into, such as a server. Each test gets a new one.
//
// # Caller's duties
//
// End the network with t.Cleanup, and check for leaked goroutines in TestMain: the suite closes every transport
// that it dials and expects nothing of it to live on.
//
// # Caveats
//
// The suite expects a network without faults: behaviour when a server dies is for each transport's own tests.
package channeltest
