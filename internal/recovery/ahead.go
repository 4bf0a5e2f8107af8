package recovery

import (
	"cmp"
	"slices"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/msgid"
)

// Ahead holds the frames of an input that have come before their predecessors: above a hole. The zero Ahead is empty. It
// does not bound itself; the caller looks at Bytes before it adds.
//
// Invariant: its frames are in the order of their first tuples.
type Ahead struct {
	frames []channel.Frame
	bytes  int
}

// Len returns the number of frames.
func (a *Ahead) Len() int { return len(a.frames) }

// Bytes returns how many bytes the frames have together.
func (a *Ahead) Bytes() int { return a.bytes }

// Has reports whether a frame that begins like f holds all of f.
func (a *Ahead) Has(f *channel.Frame) bool {
	at, found := a.find(f.First)
	return found && a.frames[at].Last() >= f.Last()
}

// Add keeps a frame.
func (a *Ahead) Add(f channel.Frame) {
	at, _ := a.find(f.First)
	a.bytes += f.Len()
	a.frames = slices.Insert(a.frames, at, f)
}

// Take removes and returns the first frame, if it is not above a hole any more: of a target that has accepted all up to a
// position. It may lie below that, in part or whole.
func (a *Ahead) Take(accepted msgid.Seq) (f channel.Frame, ok bool) {
	if len(a.frames) == 0 || a.frames[0].First > accepted+1 {
		return channel.Frame{}, false
	}
	f = a.frames[0]
	a.frames[0] = channel.Frame{} // or the array would refer to it
	if a.frames = a.frames[1:]; len(a.frames) == 0 {
		a.frames = nil
	}
	a.bytes -= f.Len()
	return f, true
}

// Holes returns the tuples between two positions that are in no frame: above accepted, up to proven.
func (a *Ahead) Holes(accepted, proven msgid.Seq) (holes msgid.Ranges) {
	next := accepted + 1
	for k := range a.frames {
		f := &a.frames[k]
		if last := min(f.First-1, proven); next <= last {
			holes.Add(msgid.Range{First: next, Last: last})
		}
		next = max(next, f.Last()+1)
	}
	if next <= proven {
		holes.Add(msgid.Range{First: next, Last: proven})
	}
	return holes
}

func (a *Ahead) find(first msgid.Seq) (at int, found bool) {
	return slices.BinarySearchFunc(a.frames, first, func(f channel.Frame, s msgid.Seq) int { return cmp.Compare(f.First, s) })
}
