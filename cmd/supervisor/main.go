// Supervisor runs the workers of one host of a cluster of Askback. See supervisor --help.
package main

import "github.com/askback/askback/internal/daemon"

func main() { daemon.Main(daemon.SupervisorCommand()) }
