// Package netlab makes hosts for tests: network namespaces joined by a bridge, on one machine. A host has an address of
// its own, runs processes, and its link may be pulled and plugged in again.
//
//	lab := netlab.New(t)
//	a, b := lab.Host("a"), lab.Host("b")
//	server := a.Start("server", "nats-server", "-a", a.IP)
//	a.Down()         // its packets go nowhere, in either direction
//	server.Signal(syscall.SIGSTOP)
//
// It needs Linux, root and the command ip of iproute2. A test that has them not is skipped with that word, but fails
// where CI is set. Everything ends with the test: processes with their groups, namespaces, links.
package netlab
