// Package ledger is the bolt that follows tuple trees for strategy acker: it knows, of every root, the XOR of the edges
// of which only one end was reported so far, and tells the spout when that is zero. See package acker for the nouns.
//
// It expires roots as Storm's does, in two buckets: a root moves to the young one when something is reported of it, the
// old one is emptied at each tick, and then they change places. So an entry lives between one and two message timeouts
// after its last report, and what is kept is bounded by what the spouts may have pending in that time.
package ledger
