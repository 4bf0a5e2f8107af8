package recovery

// Backoff doubles a delay, between two bounds. A delay of zero precedes the first try.
func Backoff(delay, least, most Tick) Tick { return min(max(2*delay, least), most) }

// Sooner returns the earlier of two moments, of which 0 is never.
func Sooner(a, b Tick) Tick {
	if a == 0 || b != 0 && b < a {
		return b
	}
	return a
}
