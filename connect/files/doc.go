// Package files reads the lines of text files, and writes tuples as lines to files exactly once.
package files
