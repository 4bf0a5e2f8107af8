package postgres

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/askback/askback/msgid"
)

// TestHeldCrashes ends a run of three checkpoints at each place where a process can end, which is before and after each
// statement and each commit, in each of these ways. Rows after a rollback come in another order and are marked with the
// incarnation, so a row that is taken for another is seen.
func TestHeldCrashes(t *testing.T) {
	w := newWorld(t)
	for name, end := range map[string]func(*play, *heldBolt){
		// The process dies. Its transaction is rolled back.
		"process": func(*play, *heldBolt) { panic(died{}) },
		// The server ends the session. The sink tries again.
		"session": func(p *play, _ *heldBolt) {
			p.w.exec(p.t, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'held'")
		},
		// The process is paused, its successor runs to the end, and then it goes on, until it dies.
		"pause": func(p *play, _ *heldBolt) {
			for p.run() {
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for at := 1; ; at++ {
				p := newPlay(t, w, uint64(at), func(p *play, s *heldBolt, step int) {
					if step == at {
						end(p, s)
					}
				})
				if name == "pause" {
					p.c.Timeout = 1500 * time.Millisecond // its successor may wait for half of that
				}
				for p.run() {
				}
				if p.check(fmt.Sprintf("%s at step %d", name, at)); p.step < at {
					if at < 30 {
						t.Errorf("only %d steps: what was to be killed?", at)
					}
					return
				}
			}
		})
	}
	t.Run("process, again and again", func(t *testing.T) {
		seed := uint64(time.Now().UnixNano())
		for i := range uint64(20) {
			p := newPlay(t, w, seed+i, func(p *play, s *heldBolt, step int) {
				if p.chance.IntN(20) == 0 {
					panic(died{})
				}
			})
			for p.run() {
			}
			p.check(fmt.Sprintf("seed %d", seed+i))
		}
	})
}

// died is what a process panics with that is killed.
type died struct{}

// A play is a task under the strategy barrier: its checkpoints are decided elsewhere, and it goes back to the last of
// them.
type play struct {
	t      *testing.T
	w      *world
	c      Config
	chance *rand.Rand
	at     func(p *play, s *heldBolt, step int)
	step   int

	incarnation msgid.Incarnation // the newest
	decided     int               // checkpoints that count
	data        []byte            // the snapshot of the last of them
	want        []string          // the rows that are before it
}

func newPlay(t *testing.T, w *world, seed uint64, at func(*play, *heldBolt, int)) *play {
	c := holding(w.table(t, "n bigint, word text"))
	c.Batch, c.Timeout = 2, 2*time.Second
	c.Open = func() (*sql.DB, error) { return sql.Open("pgx", w.pg.DSN()+" application_name=held") }
	return &play{t: t, w: w, c: c, at: at, chance: rand.New(rand.NewPCG(seed, 2))}
}

// run is the life of one incarnation. It reports whether there must be another.
func (p *play) run() (again bool) {
	p.incarnation++
	mine := p.incarnation
	s := Bolt(p.c)().(*heldBolt)
	doing := func(string) {
		p.step++
		p.at(p, s, p.step)
	}
	s.db.step = doing
	defer func() {
		_ = s.Close() // the process has ended
		if r := recover(); r != nil {
			if _, ok := r.(died); !ok {
				panic(r)
			}
			again = true
		}
	}()
	may := func(err error) {
		if err != nil && p.incarnation == mine {
			p.t.Fatalf("incarnation %d, step %d: %v", mine, p.step, err)
		}
		if err != nil {
			panic(died{}) // a paused one that is back
		}
	}
	may(s.Prepare(contextOf(mine)))
	if p.data != nil {
		may(s.Restore(p.data))
		may(s.Commit())
	}
	parts := p.shuffled()
	var rows []string
	ahead := 0 // rows of this part that came before the commit of the last
	for part := p.decided; part < len(parts); part++ {
		for _, n := range parts[part][ahead:] {
			rows = append(rows, p.row(s, n))
		}
		data, err := s.Snapshot()
		may(err)
		doing("stored")
		if p.incarnation != mine {
			panic(died{}) // the coordinator is in another epoch
		}
		p.decided, p.data, p.want, rows = part+1, data, append(p.want, rows...), nil
		doing("decided")
		if ahead = 0; part+1 < len(parts) && len(parts[part+1]) > 0 {
			rows, ahead = append(rows, p.row(s, parts[part+1][0])), 1
		}
		may(s.Commit())
		doing("done")
	}
	return false
}

// shuffled returns what comes before each checkpoint, in the order of one incarnation. Before the second nothing comes.
func (p *play) shuffled() [][]int {
	parts := [][]int{{1, 2, 3, 4, 5}, {}, {6, 7, 8}}
	for _, part := range parts {
		p.chance.Shuffle(len(part), func(i, j int) { part[i], part[j] = part[j], part[i] })
	}
	return parts
}

// row gives the sink a number, marked with the incarnation.
func (p *play) row(s *heldBolt, n int) string {
	mark := fmt.Sprintf("by-%d", s.task.Incarnation)
	row(p.t, s, n, int64(n), mark)
	return fmt.Sprint(n, " ", mark)
}

func (p *play) check(when string) {
	p.t.Helper()
	before := p.t.Failed()
	slices.Sort(p.want)
	p.w.has(p.t, p.c, strings.Join(p.want, ", "))
	p.w.holds(p.t, p.c, 0)
	if p.t.Failed() && !before {
		p.t.Errorf("%s: incarnation %d was the last", when, p.incarnation)
	}
}
