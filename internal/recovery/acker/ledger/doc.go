// Package ledger is the bolt that follows tuple trees for strategy acker: for every root it holds the XOR of the edges that
// were reported by only one end so far, and reports to the spout when that is zero. See package acker for the nouns.
//
// It expires roots as Storm's does, in two buckets: a report moves its root to the young one, the old one is emptied at
// each tick, and then they change places. So an entry lives between one and two message timeouts after its last report, and
// the number of entries is bounded by the tuples that the spouts may have pending in that time.
package ledger
