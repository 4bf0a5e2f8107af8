// Package files reads the lines of text files, and writes values as lines to files, each exactly once.
//
// # The nouns
//
// A source names files by patterns. Lines makes a typed one, for package stream, and Spout one of rows, for package
// topology; both are a Source, and read alike.
//
// A sink writes one line for each value. Sink makes a typed one, and Bolt one of rows; both stage and publish alike.
//
// A part is a file of the output that is complete. A staged file, whose name ends in .tmp, holds lines that no durable
// snapshot covers yet.
//
// # A complete example
//
//	t := stream.New("errors")
//	lines := stream.From(t, "lines", files.Lines("logs/**/*.log.gz"))
//	errs := stream.Filter(lines, "errors", func(l files.Line) bool { return bytes.Contains(l.Text, []byte("ERROR")) })
//	stream.To(errs, "out", files.Sink[files.Line]("out/errors"))
//
// The same in rows:
//
//	b := topology.New("errors")
//	b.Spout("lines", files.Spout("logs/**/*.log.gz")).Fields("line")
//	b.Bolt("errors", bolt.Func(errors)).Shuffle("lines").Fields("line")
//	b.Bolt("out", files.Bolt("out/errors")).Shuffle("errors")
//
// # How a line becomes visible once
//
//	Write     buffered, then written to the staged file
//	Snapshot  the staged file is synced; it ends there, as a complete part, unless Roll or Single say otherwise
//	Commit    the part is renamed, after the snapshot that covers it is durable
//
// A restored task finds in its snapshot which staged files count, and up to which byte. It removes all others that its
// predecessors left, publishes the parts that were complete, and goes on.
//
// A strategy that takes no snapshots of bolts (none, acker) is refused when the topology is built: under it no part would
// ever appear.
//
// # Failures
//
// A full disk, a missing permission, a file system that does not answer are outages (bolt.Outage): the task is restarted,
// with growing pauses, until the outage is over, and no value is given up. An input that has changed, an output that exists
// already, a staged file that is lost and settings that cannot work fail the topology, with an error that names the
// file and the remedy.
//
// # The caller's duties
//
// Leave the input as it is while a topology reads it. Make the directory of the output, on a file system that all machines
// share which may run the task. Give each sink a path of its own.
package files
