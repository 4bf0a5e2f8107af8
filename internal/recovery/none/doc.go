// Package none is the strategy without recovery: fire and forget, at most once. It is the upper bound that other
// strategies are measured against.
//
// Nothing is kept for resending and nothing is logged. Tuples that are lost on the way are counted and passed over; a
// restarted task begins with empty state and takes what comes from then on. Flow control is the same as that of
// the other strategies, since without it a fast source would only lose more.
package none
