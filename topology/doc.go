// Package topology describes what is to run.
package topology
