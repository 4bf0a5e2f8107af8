package task

import (
	"context"
	"errors"
	"testing"

	"github.com/askback/askback/internal/checkpoint"
	"github.com/askback/askback/internal/checkpoint/memlog"
	"github.com/askback/askback/msgid"
)

// A log that vanishes, or goes back, ends an era of the writer: it drops what it was given before, answers with the number of
// the new era, and takes nothing that a core still gives it in the old one. What came before the loss is answered in its own era.
func TestErasOfALog(t *testing.T) {
	ctx, alias := t.Context(), msgid.Alias{Operator: "x"}
	big := make([]byte, 3000) // in several chunks
	for name, lose := range map[string]func(*memlog.Log){
		"wiped":     (*memlog.Log).Wipe,
		"vanished":  (*memlog.Log).Vanish,
		"went back": func(l *memlog.Log) { l.Cut(1) },
	} {
		for given, give := range map[string]func(w *LogWriter, era int){
			"record":   func(w *LogWriter, era int) { w.Append(era, []byte("determinants")) },
			"snapshot": func(w *LogWriter, era int) { w.Store(era, [][]byte{big}, true) },
			"both": func(w *LogWriter, era int) {
				w.Append(era, []byte("determinants"))
				w.Store(era, [][]byte{big}, true)
			},
		} {
			t.Run(name+" before a "+given, func(t *testing.T) {
				log := memlog.New(memlog.Options{SyncLag: 10})
				writer, _, err := Open(ctx, log, alias, nil, checkpoint.Options{MaxRecord: 1000})
				if err != nil {
					t.Fatal(err)
				}
				w := NewLogWriter(writer)
				w.Append(0, []byte("before"))
				if a := answered(ctx, t, w); a != (Answer{0, RecordAppended}) {
					t.Fatalf("answer %+v", a)
				}
				give(w, 0)
				lose(log)
				if a := answered(ctx, t, w); a != (Answer{1, LogLost}) {
					t.Fatalf("answer %+v, want that era 1 begins", a)
				}
				if w.Busy() {
					t.Error("it still writes what it was given before the loss")
				}
				if give(w, 0); w.Busy() {
					t.Error("it takes what a core gives that does not know of the loss")
				}
				if a, err := w.Step(ctx); a != (Answer{}) || err != nil {
					t.Errorf("with nothing to write it answers %+v, %v", a, err)
				}
				give(w, 1)
				for w.Busy() {
					if a := answered(ctx, t, w); a.Era != 1 || a.Kind == LogLost {
						t.Fatalf("answer %+v", a)
					}
				}
				// An increment has nothing to build on where no snapshot came before it.
				if given == "record" {
					w.Store(1, [][]byte{big}, false)
					if a := answered(ctx, t, w); a != (Answer{2, LogLost}) || w.Busy() {
						t.Errorf("an increment without a base is answered with %+v", a)
					}
				}
			})
		}
	}
}

// answered has the writer write until it answers.
func answered(ctx context.Context, t *testing.T, w *LogWriter) Answer {
	t.Helper()
	for range 100 {
		a, err := w.Step(ctx)
		if err != nil && !errors.Is(err, checkpoint.ErrFull) {
			t.Fatal(err)
		}
		if a.Kind != NoAnswer {
			return a
		}
	}
	t.Fatal("no answer")
	return Answer{}
}
