package recovery

// Backoff doubles a delay, between two bounds. Zero is the delay of what was not tried yet.
func Backoff(delay, least, most Tick) Tick { return min(max(2*delay, least), most) }
