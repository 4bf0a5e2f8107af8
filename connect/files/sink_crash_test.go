package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/askback/askback/bolt"
	"github.com/askback/askback/msgid"
	"github.com/askback/askback/state"
	"github.com/askback/askback/tuple"
)

// A fileMode is a way to write files. The typed form has the same core, so one mode of it is enough.
type fileMode struct {
	name  string
	opts  []Option
	typed bool
}

var fileModes = []fileMode{
	{"parts", nil, false},
	{"roll", []Option{Roll(15)}, false},
	{"single", []Option{Single()}, false},
	{"typed", nil, true},
}

// TestFileKilledAnywhere kills a sink at every step that it or its task takes, its successor too, and expects the
// output of an undisturbed run, no staged file left, and never anything visible that is not final.
func TestFileKilledAnywhere(t *testing.T) {
	inMemory(t)
	for _, mode := range fileModes {
		t.Run(mode.name, func(t *testing.T) {
			for first := 1; ; first++ {
				for second := 1; ; second++ {
					w := newFileWorld(t, mode)
					one, two := w.start(first), (*fileTask)(nil)
					one.await()
					if one.paused {
						two = w.start(second)
						two.await()
					}
					if two != nil && two.paused {
						w.start(0).await()
					}
					w.check(fmt.Sprintf("killed at step %d, then at step %d", first, second))
					if len(w.staged()) > 0 {
						t.Fatalf("killed at step %d, then at step %d: left %q", first, second, w.staged())
					}
					w.kill()
					if !one.hasPaused {
						return
					}
					if !two.hasPaused || testing.Short() {
						break
					}
				}
			}
		})
	}
}

// TestFilePausedAnywhere pauses a sink at every step, starts its successor, and lets the paused one go on at every
// step of that until it learns that it is fenced.
func TestFilePausedAnywhere(t *testing.T) {
	inMemory(t)
	for _, mode := range fileModes {
		t.Run(mode.name, func(t *testing.T) {
			for first := 1; ; first++ {
				for second := 1; ; second++ {
					w := newFileWorld(t, mode)
					one, two := w.start(first), (*fileTask)(nil)
					one.await()
					if one.paused {
						two = w.start(second)
						two.await()
						one.resume()
						if two.paused {
							two.resume()
						}
					}
					w.check(fmt.Sprintf("paused at step %d, back at step %d of its successor", first, second))
					if two == nil {
						return
					}
					if !two.hasPaused || testing.Short() {
						break
					}
				}
			}
		})
	}
}

// TestDiskFull fills the disk at every step that a sink takes with it, for a while that may outlast several incarnations,
// and half of a write is done by then. Each failure is an outage, and at the end nothing is lost or doubled.
func TestDiskFull(t *testing.T) {
	inMemory(t)
	for _, mode := range fileModes {
		t.Run(mode.name, func(t *testing.T) {
			for first := 1; ; first++ {
				steps := 0
				for _, length := range []int{1, 4} {
					w := newFileWorld(t, mode)
					steps = 0
					w.fault = func(doing string, o *output) error {
						if steps++; steps < first || steps >= first+length {
							return nil
						}
						if doing == "write" {
							if _, err := o.file.WriteAt(o.buf[:len(o.buf)/2], o.staged.Size); err != nil {
								return err
							}
						}
						return syscall.ENOSPC
					}
					for failures := 0; ; failures++ {
						task := w.start(0)
						task.await()
						if task.err == nil {
							break
						}
						if !bolt.IsOutage(task.err) || !errors.Is(task.err, syscall.ENOSPC) || failures == length {
							t.Fatalf("step %d, failure %d: %v, want the outage", first, failures, task.err)
						}
					}
					w.check(fmt.Sprintf("disk full from step %d to %d", first, first+length-1))
					if len(w.staged()) > 0 {
						t.Fatalf("disk full at step %d: left %q", first, w.staged())
					}
				}
				if steps < first {
					return
				}
			}
		})
	}
}

// inMemory lets t.TempDir be in memory, where there is such a place: thousands of directories take long on a disk.
func inMemory(t *testing.T) {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm")
	}
}

// A fileWorld is a directory, a log with the newest durable snapshot, and tasks of which one runs at a time.
type fileWorld struct {
	t     *testing.T
	dir   string
	mode  fileMode
	fault func(doing string, o *output) error // of the file system; nil: none
	tasks []*fileTask
	log   struct {
		snapshot []byte
		consumed int
		final    bool
	}
}

const fileRows = 5

func newFileWorld(t *testing.T, mode fileMode) *fileWorld {
	t.Helper()
	return &fileWorld{t: t, dir: t.TempDir(), mode: mode}
}

// A fileTask is one incarnation. It pauses at a step, which is how it is killed, too: it just never goes on.
type fileTask struct {
	w                 *fileWorld
	pauseAt, steps    int
	paused, hasPaused bool
	killed            bool
	incarnation       msgid.Incarnation
	stopped, goOn     chan struct{}
	err               error
}

var errFenced = errors.New("fenced")

func (w *fileWorld) start(pauseAt int) *fileTask {
	task := &fileTask{w: w, pauseAt: pauseAt, stopped: make(chan struct{}), goOn: make(chan struct{})}
	w.tasks = append(w.tasks, task)
	task.incarnation = msgid.Incarnation(len(w.tasks))
	go func() {
		defer func() { // a killed task leaves by a panic
			if r := recover(); r != nil && !task.killed {
				task.err = fmt.Errorf("panic: %v", r)
			}
			task.stopped <- struct{}{}
		}()
		task.err = task.run()
	}()
	return task
}

// await waits until the task has stopped, and expects that all that is visible then is final.
func (task *fileTask) await() {
	<-task.stopped
	if got := task.w.visible(); !strings.HasPrefix(task.w.output(), got) {
		task.w.t.Fatalf("with incarnation %d stopped at step %d, the output is %q", task.incarnation, task.steps, got)
	}
}

func (task *fileTask) resume() {
	task.paused = false
	task.goOn <- struct{}{}
	task.await()
}

func (w *fileWorld) kill() {
	for _, task := range w.tasks {
		if task.paused {
			task.killed = true
			task.resume()
		}
	}
}

func (task *fileTask) step(string) error {
	if task.steps++; task.steps != task.pauseAt {
		return nil
	}
	task.paused, task.hasPaused = true, true
	task.stopped <- struct{}{}
	<-task.goOn
	if task.killed {
		panic("killed")
	}
	return nil
}

func (task *fileTask) run() error {
	w := task.w
	sink, put := task.sink()
	defer sink.Close()
	if err := sink.Prepare(fileContext{bolt.Task{Alias: msgid.Alias{Operator: "sink"}, Parallel: 1, Incarnation: task.incarnation}}); err != nil {
		return err
	}
	log := w.log
	if log.snapshot != nil {
		if err := errors.Join(sink.Restore(log.snapshot), sink.Commit()); err != nil {
			return err
		}
	}
	if log.final {
		return nil
	}
	for i := log.consumed; i < fileRows; i++ {
		_ = task.step("execute")
		if err := put(i); err != nil {
			return err
		}
		if i%2 == 1 {
			if err := task.snapshot(sink, i+1, false); err != nil {
				return err
			}
		}
	}
	if err := sink.Finish(context.Background(), nil); err != nil {
		return err
	}
	return task.snapshot(sink, fileRows, true)
}

// sink makes the sink of the world's mode, and returns its core and the function that gives it a row.
func (task *fileTask) sink() (o testedSink, put func(i int) error) {
	w := task.w
	var core *output
	seam := func(o *options) {
		o.buffer, o.fsync = 10, noSync
		o.step = func(doing string) error {
			if w.fault != nil {
				if err := w.fault(doing, core); err != nil {
					return err
				}
			}
			return task.step(doing)
		}
	}
	path, opts := filepath.Join(w.dir, "out"), append(slices.Clone(w.mode.opts), seam)
	if !w.mode.typed {
		s := Bolt(path, opts...)().(*rowWriter)
		core = &s.output
		return s, func(i int) error { return s.Execute(context.Background(), fileTuple(w.t, i), nil) }
	}
	type row struct {
		Word []byte
		N    int
	}
	s := Sink[row](path, opts...).New().(*writer[row])
	core = &s.output
	return s, func(i int) error { return s.Write(context.Background(), row{[]byte("row"), i}) }
}

// A testedSink is either form of the sink.
type testedSink interface {
	bolt.Preparer
	bolt.Committer
	bolt.Finisher
	io.Closer
}

// noSync is for tests that take no power away: there are thousands of them.
func noSync(*os.File) error { return nil }

func (task *fileTask) snapshot(sink testedSink, consumed int, final bool) error {
	data, err := sink.Snapshot()
	if err != nil {
		return err
	}
	_ = task.step("before it is durable")
	if int(task.incarnation) < len(task.w.tasks) {
		return errFenced
	}
	task.w.log.snapshot, task.w.log.consumed, task.w.log.final = data, consumed, final
	_ = task.step("durable")
	return sink.Commit()
}

// check expects the complete output, and that only fenced tasks have failed.
func (w *fileWorld) check(when string) {
	w.t.Helper()
	for i, task := range w.tasks {
		// Behind its successor a paused task may also find that files it knew have gone: it stops all the same.
		if task.err != nil && i == len(w.tasks)-1 {
			w.t.Fatalf("%s: incarnation %d: %v", when, i+1, task.err)
		}
	}
	if got := w.visible(); got != w.output() {
		w.t.Fatalf("%s: the output is %q, want %q", when, got, w.output())
	}
}

// output is what an undisturbed run writes.
func (w *fileWorld) output() (content string) {
	for i := range fileRows {
		content += fmt.Sprintf("row\t%d\n", i)
	}
	return content
}

// visible returns the content of all final files.
func (w *fileWorld) visible() (content string) {
	for _, e := range w.entries() {
		if !strings.HasSuffix(e, ".tmp") {
			b, err := os.ReadFile(filepath.Join(w.dir, e))
			if err != nil {
				w.t.Fatal(err)
			}
			content += string(b)
		}
	}
	return content
}

func (w *fileWorld) staged() []string {
	return slices.DeleteFunc(w.entries(), func(e string) bool { return !strings.HasSuffix(e, ".tmp") })
}

func (w *fileWorld) entries() (names []string) {
	entries, err := os.ReadDir(w.dir)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func fileTuple(t testing.TB, values ...any) tuple.Tuple {
	t.Helper()
	names := []string{"word", "n", "a", "b", "c", "d"}[:len(values)+1]
	fields, err := tuple.NewFields(names...)
	if err != nil {
		t.Fatal(err)
	}
	row, err := tuple.New(fields, append([]any{"row"}, values...)...)
	if err != nil {
		t.Fatal(err)
	}
	return row
}

// fileContext is the context of a task that needs nothing but its name.
type fileContext struct{ task bolt.Task }

func (c fileContext) Task() bolt.Task     { return c.task }
func (c fileContext) State() *state.Store { return nil }
func (c fileContext) Now() time.Time      { return time.Time{} }
func (c fileContext) Rand() uint64        { return 0 }
