// Package wordcheck stands around the example wordcount: it reads the command line, gives the topology the lines of files
// at a pace, kills tasks meanwhile, shows the progress, and compares the counts with a plain sequential count. In a
// cluster it has the counts written to a file instead.
package wordcheck
