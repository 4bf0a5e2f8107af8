package recovery

import "github.com/askback/askback/internal/channel"

// A Queue holds frames in order. The zero Queue is empty.
type Queue struct {
	frames []channel.Frame
	head   int
}

// Len returns the number of frames.
func (q *Queue) Len() int { return len(q.frames) - q.head }

// Push appends a frame.
func (q *Queue) Push(f channel.Frame) {
	if q.head > 0 && q.head*2 >= len(q.frames) {
		n := copy(q.frames, q.frames[q.head:])
		clear(q.frames[n:])
		q.frames, q.head = q.frames[:n], 0
	}
	q.frames = append(q.frames, f)
}

// Front returns the first frame, which may be replaced. There must be one.
func (q *Queue) Front() *channel.Frame { return &q.frames[q.head] }

// Back returns the last frame, which may be replaced. There must be one.
func (q *Queue) Back() *channel.Frame { return &q.frames[len(q.frames)-1] }

// Pop removes and returns the first frame. There must be one.
func (q *Queue) Pop() channel.Frame {
	f := q.frames[q.head]
	q.frames[q.head] = channel.Frame{}
	q.head++
	return f
}

// Drop removes the last frame. There must be one.
func (q *Queue) Drop() {
	*q.Back() = channel.Frame{}
	q.frames = q.frames[:len(q.frames)-1]
}
