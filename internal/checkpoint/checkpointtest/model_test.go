package checkpointtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/memlog"
)

// TestModel runs tasks over a log that fails in every way that memlog knows, and compares the result of a restart with a
// dumb model: a past is a number of inputs and a digest of them. The invariants:
//
//   - a restored past is one past: every snapshot and determinant record builds on exactly the one before;
//   - it holds every acknowledged input that was not lost in a power cut;
//   - a restart is refused if a record that it needs is damaged, and only then.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		for range 15 {
			m := newModel(t)
			for range rapid.SampledFrom([]int{10, 40, 160}).Draw(t, "steps") {
				m.step()
			}
			m.calm()
			m.crash()
		}
	})
}

type model struct {
	t         *rapid.T
	ctx       context.Context
	log       *memlog.Log
	rng       *rand.Rand // for choices that are not worth shrinking
	retries   int
	faults    int // per mille of operations
	input     uint64
	task      *task
	zombies   []*task
	safe      []fact // the pasts that a restart must restore
	committed uint64 // the inputs that the last committed snapshot holds
	hurt      bool   // the log has been damaged or went back: a restart may be refused
	cut       bool   // the log went back: a zombie may find its place again
	id        uint64
	gentle    bool // answers are lost, but no entries
	assign    bool // the assigner of tasks counts incarnations
	highest   checkpoint.Options
	trace     []string
}

// A fact is a past that is in the log at a position.
type fact struct {
	at checkpoint.Pos
	n  uint64
}

func newModel(t *rapid.T) *model {
	m := &model{t: t, ctx: context.Background()}
	m.rng = rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
	m.faults = []int{0, 100, 300}[m.rng.IntN(3)]
	m.gentle = m.rng.IntN(3) == 0
	m.retries = []int{0, 0, 1, 6}[m.rng.IntN(4)]
	m.assign = m.rng.IntN(2) == 0
	m.log = memlog.New(memlog.Options{SyncLag: []int{0, 3, 30}[m.rng.IntN(3)]})
	m.note("faults %d, gentle %v, retries %d, assign %v", m.faults, m.gentle, m.retries, m.assign)
	m.storm()
	m.crash()
	return m
}

// storm lets operations fail by chance; calm ends it.
func (m *model) storm() {
	m.log.SetFault(func(memlog.Op) memlog.Fault {
		if m.rng.IntN(1000) >= m.faults {
			return memlog.None
		}
		return memlog.Fault(1 + m.rng.IntN(4))
	})
}

// pause gives up sooner or later, so that some calls end without an outcome.
func (m *model) pause(_ context.Context, attempt int) error {
	if attempt > 1+m.retries {
		return errGaveUp
	}
	return nil
}

func (m *model) calm() { m.log.SetFault(nil) }

func (m *model) step() {
	ops := map[string]func(){
		"consume":  m.consume,
		"flush":    m.flush,
		"snapshot": m.snapshot,
		"upload":   m.upload,
		"purge":    m.purge,
		"crash":    m.crash,
		"zombie":   m.zombie,
		"cut":      m.powerCut,
		"blackout": m.blackout,
		"corrupt":  m.corrupt,
		"lose":     m.lose,
		"wipe":     m.wipe,
	}
	names := []string{
		"consume", "consume", "consume", "flush", "flush", "flush", "flush", "snapshot", "snapshot", "upload", "upload",
		"upload", "upload", "purge", "crash", "zombie", "zombie", "blackout", "cut", "corrupt", "lose", "wipe",
	}
	if m.gentle {
		names = names[:len(names)-4]
	}
	op := names[m.rng.IntN(len(names))] // rapid would prefer the first ones
	m.note("%s", op)
	ops[op]()
}

func (m *model) note(format string, args ...any) {
	m.trace = append(m.trace, fmt.Sprintf(format, args...))
}

func (m *model) fatal(format string, args ...any) {
	m.t.Helper()
	for _, line := range m.trace {
		m.t.Log(line)
	}
	m.t.Fatalf(format, args...)
}

func (m *model) consume() {
	m.input++
	m.task.consume(m.input)
}

func (m *model) flush() {
	if len(m.task.pending) == 0 {
		return
	}
	n := m.task.now.n
	if m.handle(m.task.flush(m.ctx)) {
		m.safe = append(m.safe, fact{m.task.w.Last(), n})
		m.note("  flushed to %d at %d", n, m.task.w.Last())
	}
}

func (m *model) snapshot() {
	m.task.begin(m.rng.IntN(3) == 0, m.rng.IntN(400))
}

func (m *model) upload() {
	if m.task.up == nil {
		return
	}
	n := m.task.upPast.n
	if m.task.appended < n { // the Writer's user must: see Writer.Begin
		if m.flush(); m.task.up == nil || m.task.appended < n {
			return
		}
	}
	done, err := m.task.step(m.ctx)
	if m.handle(err) && done {
		m.committed = n
		m.safe = append(m.safe, fact{m.task.w.Last(), n})
		m.note("  committed %d at %d", n, m.task.w.Last())
	}
}

func (m *model) purge() {
	if err := m.task.w.Purge(m.ctx); err != nil && !errors.Is(err, checkpoint.ErrUnknown) && !errors.Is(err, checkpoint.ErrGone) {
		m.fatal("purge: %v", err)
	}
}

// handle reacts to an error of the live task as the runtime does.
func (m *model) handle(err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, checkpoint.ErrWentBack), errors.Is(err, checkpoint.ErrGone):
		m.note("  %v", err)
		if !m.hurt {
			m.fatal("%v, but no entry was lost", err)
		}
		m.safe = nil // until the next full snapshot, a restart may be refused
		for range 50 {
			if err = m.task.rebegin(m.ctx); err == nil {
				m.note("  began again at %d", m.task.w.Last())
				return false
			}
			m.note("  rebegin: %v", err)
			if errors.Is(err, checkpoint.ErrFenced) {
				return m.handle(err)
			}
		}
	case errors.Is(err, checkpoint.ErrUnknown), errors.Is(err, checkpoint.ErrFull), errors.Is(err, checkpoint.ErrNeedsFull):
		m.note("  %v", err)
	case errors.Is(err, checkpoint.ErrFenced), errors.Is(err, checkpoint.ErrDamaged):
		m.note("  %v", err)
		if !m.hurt {
			m.fatal("the live task: %v", err)
		}
		m.crash()
	default:
		m.fatal("the live task: %v", err)
	}
	return false
}

// crash restarts the task; the one before becomes a zombie.
func (m *model) crash() {
	if m.task != nil {
		if m.zombies = append(m.zombies, m.task); len(m.zombies) > 3 {
			m.zombies = m.zombies[1:]
		}
		m.task = nil
	}
	for range 50 {
		m.id++
		opt := checkpoint.Options{ID: m.id, MaxRecord: 200, Pause: m.pause}
		if m.assign {
			opt.AtLeast = m.highest.AtLeast + 1
		}
		k, h, err := open(m.ctx, m.log, opt)
		switch {
		case err == nil:
			m.note("  incarnation %d restores %d of %d snapshots, %d determinants", h.Incarnation, k.now.n, len(h.Chain), len(h.Determinants))
			m.highest.AtLeast = max(m.highest.AtLeast, h.Incarnation)
			m.task = k
			m.check(k.now.n)
			if !m.hurt && (h.Damaged > 0 || k.snap.n < m.committed) {
				m.fatal("passed over %d records and restored the snapshot at %d, not at %d, but no record was damaged", h.Damaged, k.snap.n, m.committed)
			}
			m.safe = append(m.safe, fact{0, k.now.n})
			return
		case errors.Is(err, checkpoint.ErrDamaged):
			m.note("  %v", err)
			if !m.hurt {
				m.fatal("refused, but no record was damaged: %v", err)
			}
			m.log.Wipe()
			m.safe, m.zombies, m.committed, m.hurt, m.cut = nil, nil, 0, false, false
		case errors.Is(err, checkpoint.ErrUnknown), errors.Is(err, checkpoint.ErrFull):
			m.note("  %v", err)
		case errors.Is(err, checkpoint.ErrConflict) && m.hurt:
			m.fatal("%v", err)
		default:
			m.fatal("open: %v", err)
		}
	}
	m.fatal("the task does not start")
}

// check checks that all acknowledged inputs are restored.
func (m *model) check(n uint64) {
	for _, f := range m.safe {
		if f.n > n {
			m.fatal("restored %d inputs, but %d were acknowledged at %d", n, f.n, f.at)
		}
	}
}

// zombie lets an old incarnation continue.
func (m *model) zombie() {
	if len(m.zombies) == 0 {
		return
	}
	z := m.zombies[m.rng.IntN(len(m.zombies))]
	m.input++
	z.consume(m.input)
	var err error
	_, _ = m.log.Last(m.ctx, count3) // late appends arrive
	before := m.last()
	if z.up == nil && m.rng.IntN(3) == 0 {
		z.begin(m.rng.IntN(2) == 0, 100)
	}
	if z.up != nil && m.rng.IntN(2) == 0 {
		_, err = z.step(m.ctx)
	} else {
		err = z.flush(m.ctx)
	}
	m.note("  zombie %d: %v", z.w.Incarnation(), err)
	// It may still find an earlier record of its own in the log, from before its successor began, but it adds no entry.
	if err == nil && !m.cut && m.last() != before {
		m.fatal("a zombie's append succeeded")
	}
}

func (m *model) powerCut() {
	before := m.last()
	lost := m.log.Cut(1 + m.rng.IntN(12))
	m.note("  lost %d of %d", lost, before)
	if lost > 0 {
		m.hurt, m.cut = true, true
		m.forget(m.last())
	}
}

// blackout cuts the power of the log and of every process. An earlier moment comes back, without damage.
func (m *model) blackout() {
	m.zombies, m.task = nil, nil
	m.note("  lost %d", m.log.Cut(1+m.rng.IntN(12)))
	m.forget(m.last())
	m.committed = 0
	m.crash()
}

// forget gives up the facts behind a position.
func (m *model) forget(end checkpoint.Pos) {
	var kept []fact
	for _, f := range m.safe {
		if f.at <= end && f.at != 0 {
			kept = append(kept, f)
		}
	}
	m.safe = kept
}

func (m *model) last() checkpoint.Pos {
	if e := m.log.Entries(count3); len(e) > 0 {
		return e[len(e)-1].Pos
	}
	return 0
}

func (m *model) corrupt() {
	entries := m.log.Entries(count3)
	if len(entries) == 0 {
		return
	}
	e := entries[m.rng.IntN(len(entries))]
	m.log.Corrupt(e.Pos, m.rng.IntN(len(e.Data)), byte(1)<<m.rng.IntN(8))
	m.note("  %d", e.Pos)
	m.hurt = true
}

// lose removes an entry, but not the last one: that is a power cut. After one, the next entries may be a zombie's and hide
// the loss.
func (m *model) lose() {
	entries := m.log.Entries(count3)
	if len(entries) < 2 || m.cut {
		return
	}
	e := entries[m.rng.IntN(len(entries)-1)]
	m.log.Lose(e.Pos)
	m.note("  %d", e.Pos)
	m.hurt = true
}

func (m *model) wipe() {
	if m.rng.IntN(3) > 0 {
		return
	}
	m.log.Vanish()
	if m.rng.IntN(2) == 0 {
		m.log.Wipe()
	}
	m.safe, m.hurt, m.cut = nil, true, true
}
