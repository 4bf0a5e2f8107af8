// Package stream is the typed way to write a topology.
package stream
