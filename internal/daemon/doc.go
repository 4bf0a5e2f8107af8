// Package daemon holds the command lines of nimbus and supervisor: their settings, help, logs and signals. What they do
// is in packages cluster/nimbus and cluster/supervisor.
//
//	func main() { daemon.Main(daemon.NimbusCommand()) }
package daemon
