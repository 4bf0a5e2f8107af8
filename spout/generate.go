package spout

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/internal/position"
)

// A Generator is a source that computes its tuples. Make one with Generate, and do not change it once a topology
// runs.
type Generator struct {
	end  int64 // the first number that is not generated
	rate float64
	emit func(i int64, out Emitter) error
}

// Generate returns a source that calls f for 0, 1, 2 … n-1, and without end if n is 0. Task j of k makes the
// calls for j, j+k, j+2k …
//
// F's output must follow from i alone. So f takes neither time nor chance from the machine; a random number is seeded with
// i. Tasks call f concurrently. It may return io.EOF to end its task, before it has emitted a tuple.
func Generate(n int64, f func(i int64, out Emitter) error) *Generator {
	if n == 0 {
		n = math.MaxInt64
	}
	return &Generator{end: n, emit: f}
}

// Rate makes calls of f at a steady rate, which all tasks share evenly; 0, the default, is without limit. The clock decides
// only when a call is made, not its number. Late calls are made up for, so that a latency measured at this rate hides no
// pause.
func (g *Generator) Rate(perSecond float64) *Generator {
	g.rate = perSecond
	return g
}

// New returns the spout of one task.
func (g *Generator) New() Spout { return &generated{Generator: g} }

type generated struct {
	*Generator
	index, parallel int64
	next            int64
	begin           time.Time // when the first call since Seek was due; zero until then
	first           int64     // the number of that call
	hurry           bool
}

// Open computes the numbers of this task.
func (g *generated) Open(ctx bolt.Context) error {
	if g.end < 0 || g.rate < 0 || math.IsNaN(g.rate) || g.emit == nil {
		return fmt.Errorf("spout: Generate(%d, f).Rate(%g): want n and the rate at least 0, and a function", g.end, g.rate)
	}
	g.index, g.parallel = int64(ctx.Task().Alias.Index), int64(max(ctx.Task().Parallel, 1))
	g.next = g.index
	return nil
}

// Next makes the next few calls that are due.
func (g *generated) Next(_ context.Context, out Emitter) error {
	if g.parallel == 0 {
		return errors.New("spout: Next before Open")
	}
	due := g.due()
	for made := range int64(64) {
		err := io.EOF
		switch {
		case g.next < 0 || g.next >= g.end: // below 0 after the largest number of all
		case g.next >= due:
			err = ErrIdle
		default:
			err = g.emit(g.next, out)
		}
		switch {
		case err == nil:
			g.next += g.parallel
		case made > 0 && (errors.Is(err, io.EOF) || errors.Is(err, ErrIdle)):
			return nil // the next call returns it again, without output
		default:
			return err
		}
	}
	return nil
}

// due returns the first number whose time has not come yet.
func (g *generated) due() int64 {
	if g.rate == 0 || g.hurry {
		return math.MaxInt64
	}
	if g.begin.IsZero() {
		g.begin, g.first = time.Now(), g.next
	}
	// Numbers count all tasks together, hence the common rate; the first call is due at once.
	ahead := time.Since(g.begin).Seconds() * g.rate
	if ahead >= float64(math.MaxInt64-g.first-1) {
		return math.MaxInt64
	}
	return g.first + int64(ahead) + 1
}

// Hurry implements Pacer. The rate counts from the first number after the hurry.
func (g *generated) Hurry(on bool) { g.hurry, g.begin = on, time.Time{} }

// Progress counts calls of f.
func (g *generated) Progress() (done, total int64) {
	if g.parallel == 0 {
		return 0, 0
	}
	calls := func(end int64) int64 { return max(0, (end-g.index+g.parallel-1)/g.parallel) }
	if g.end < math.MaxInt64 {
		total = calls(g.end)
	}
	return calls(g.next), total
}

// Position appends the parallelism and the number of the next call.
func (g *generated) Position(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(g.parallel))
	return binary.AppendUvarint(dst, uint64(g.next))
}

// Seek goes to the call of that number.
func (g *generated) Seek(at []byte) error {
	if g.parallel == 0 {
		return errors.New("spout: Seek before Open")
	}
	r := position.Reader{B: at}
	parallel, next := int64(r.Uvarint()), int64(r.Uvarint())
	switch {
	case r.Bad || len(r.B) > 0 || parallel <= 0 || next < 0:
		return fmt.Errorf("%w: %.40x", ErrPosition, at)
	case parallel != g.parallel:
		return fmt.Errorf("%w: it was made by one of %d tasks, and there are %d now", ErrPosition, parallel, g.parallel)
	case next%parallel != g.index, next-g.end >= g.parallel:
		return fmt.Errorf("%w: number %d of %d", ErrPosition, next, g.end)
	}
	g.next, g.begin = next, time.Time{}
	return nil
}
