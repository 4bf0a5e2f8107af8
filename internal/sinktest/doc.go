// Package sinktest has no code but its tests: whole topologies, of rows and typed, whose tasks are killed while they write to a
// real database and a real stream, which are killed too. The sinks themselves stand on a lower floor and cannot import the
// packages that run a topology.
package sinktest
