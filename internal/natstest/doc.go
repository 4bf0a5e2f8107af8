// Package natstest gives tests real NATS servers.
//
// Start runs one in a process of its own, to be killed, and StartThree a cluster of three. The process is the test binary
// itself, so TestMain must call Main. Serve and Configured run one in the test's process, with any options or with a
// configuration file; ServeThree runs a cluster of three.
package natstest
