// Nimbus leads a cluster of Askback. See nimbus --help.
package main

import "github.com/askback/askback/internal/daemon"

func main() { daemon.Main(daemon.NimbusCommand()) }
