package channeltest_test

import (
	"testing"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/channel/channeltest"
	"github.com/askback/askback/internal/channel/natschan"
	"github.com/askback/askback/internal/channel/natschan/embed"
)

// A transport's package has a test such as this one.
func ExampleRun() {
	_ = func(t *testing.T) {
		channeltest.Run(t, func(t *testing.T) channeltest.Network {
			server, err := embed.Start(embed.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { server.Stop() })
			return channeltest.Network{Dial: func(prefix, topology string) (channel.Transport, error) {
				return natschan.Dial(natschan.Config{InProcess: server.InProcess(), Prefix: prefix, Topology: topology})
			}}
		})
	}
}
