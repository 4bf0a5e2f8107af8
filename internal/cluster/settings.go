package cluster

// Settings are the bounds and delays of a topology's strategy; 0 is the strategy's default. Times are in milliseconds.
type Settings struct {
	Window         int   `json:"window_bytes,omitempty"`
	SoftBound      int   `json:"soft_bound_bytes,omitempty"`
	HardBound      int   `json:"hard_bound_bytes,omitempty"`
	SnapshotEvery  int64 `json:"snapshot_every_ms,omitempty"`
	RetryEvery     int64 `json:"retry_every_ms,omitempty"`
	RetryMax       int64 `json:"retry_max_ms,omitempty"`
	AckWindow      int   `json:"ack_window,omitempty"` // tuples of a channel
	MarkEvery      int64 `json:"mark_every_ms,omitempty"`
	MarkMax        int64 `json:"mark_max_ms,omitempty"`
	MaxPending     int   `json:"max_pending,omitempty"` // tuples of a spout task
	MessageTimeout int64 `json:"message_timeout_ms,omitempty"`
}
