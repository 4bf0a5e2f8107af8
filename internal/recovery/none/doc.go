// Package none is the strategy without recovery: at most once. The other strategies are measured against its speed.
//
// No frame is retained and no record is logged. Tuples that are lost on the way are counted and passed over; a restarted
// task begins with empty state and accepts the frames from then on. Flow control is the same as that of the other
// strategies, since without it a fast source would only lose more.
package none
