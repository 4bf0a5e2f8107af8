// Package daemon holds the command lines of nimbus and supervisor: their settings, help, logs and signals. Packages
// cluster/nimbus and cluster/supervisor do the work.
//
//	func main() { daemon.Main(daemon.NimbusCommand()) }
package daemon
