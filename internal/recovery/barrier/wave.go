package barrier

import "fmt"

// A wave names a barrier, and the checkpoint that it makes. Its upper half is the epoch, its lower half the number of the
// barrier in that epoch; number 0 is the epoch's beginning. Later waves are greater, across rollbacks too.
type wave uint64

func waveOf(epoch, number uint32) wave { return wave(epoch)<<32 | wave(number) }

func (w wave) epoch() uint32  { return uint32(w >> 32) }
func (w wave) number() uint32 { return uint32(w) }

// String returns "epoch.number", or "none".
func (w wave) String() string {
	if w == 0 {
		return "none"
	}
	return fmt.Sprintf("%d.%d", w.epoch(), w.number())
}
