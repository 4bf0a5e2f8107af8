package auth_test

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/askback/askback/internal/cluster/auth"
)

// All that a secured cluster of three NATS servers and two supervisors needs.
func ExampleInit() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	made, err := auth.Init(filepath.Join(dir, "keys"), auth.Options{
		Servers:     []auth.Server{{Hosts: []string{"nats-1"}}, {Hosts: []string{"nats-2"}}, {Hosts: []string{"nats-3"}}},
		Supervisors: []string{"host-1", "host-2"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(made.Servers)
	for _, f := range made.Files {
		if f.Offline {
			fmt.Println("keep away from servers:", f.Path)
		}
	}
	// Output:
	// tls://nats-1:4222,tls://nats-2:4222,tls://nats-3:4222
	// keep away from servers: offline/operator.nk
	// keep away from servers: offline/system.nk
	// keep away from servers: offline/account.nk
	// keep away from servers: offline/workers.nk
	// keep away from servers: offline/system.creds
	// keep away from servers: offline/ca.key
}
