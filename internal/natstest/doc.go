// Package natstest gives tests real NATS servers.
//
// Start runs one in a process of its own, to be killed. The process is the test binary itself, so TestMain must call
// Main. Serve and Configured run one in the test's process, with any options or with a configuration file.
package natstest
