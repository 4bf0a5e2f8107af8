// Package report holds what a comparison of recovery strategies came to, and shows it.
//
// The nouns:
//
//   - A Report is one comparison: the machine, the settings, and its runs. It is what askback bench --json prints.
//   - A Run is one measurement of one strategy, or of another system, in a process of its own.
//   - A Summary is the median of the runs of one strategy, figure by figure.
//   - A Recovery is what happened around the fault.
//
// WriteTable prints a report for a terminal, WriteHTML draws it as a page in one file that needs no network.
package report
