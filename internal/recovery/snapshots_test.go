package recovery_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/askback/askback/internal/recovery"
)

// A snapshot goes through its phases one after another, whatever is reported at the wrong moment; a lost log is made up
// for by a full one at once, and the last one is taken when the operator has finished, and none after it.
func TestSnapshots(t *testing.T) {
	const every = 100
	rapid.Check(t, func(t *rapid.T) {
		var s recovery.Snapshots
		s.Restore(rapid.Bool().Draw(t, "restored"), false)
		var do recovery.Actions
		now, uploaded, finished := recovery.Tick(1), recovery.Tick(0), false
		lost, final := false, false
		for range rapid.IntRange(0, 60).Draw(t, "steps") {
			now += recovery.Tick(rapid.IntRange(0, 80).Draw(t, "ms"))
			do.Reset()
			switch rapid.SampledFrom([]string{"change", "begin", "note", "upload", "capture", "uploaded", "lost", "finish"}).Draw(t, "step") {
			case "change":
				if !finished {
					s.Change()
				}
			case "begin":
				if s.Phase() != recovery.NoSnapshot {
					continue
				}
				s.Begin(&do)
				if a := do.List[0]; a.Kind != recovery.Freeze || a.Full != lost || s.Phase() != recovery.SnapshotFreezing {
					t.Fatalf("phase %d, %+v, lost %v", s.Phase(), a, lost)
				}
			case "note":
				if s.Phase() != recovery.SnapshotFreezing {
					continue
				}
				s.Note(now, finished)
				at := s.UploadAt(every)
				if s.Dirty() || !s.Phase().Noted() || s.Closing() != finished {
					t.Fatalf("phase %d, dirty %v, closing %v", s.Phase(), s.Dirty(), s.Closing())
				}
				if wait := at - now; finished || lost {
					if wait != 0 {
						t.Fatalf("the snapshot waits for %d ms, finished %v, lost %v", wait, finished, lost)
					}
				} else if wait != every/2 {
					t.Fatalf("the snapshot waits for %d ms", wait)
				}
				if wake := s.Wake(now, 7, at); wake != max(now+1, at) {
					t.Fatalf("wakes at %d, to upload at %d", wake, at)
				}
			case "upload":
				if s.Phase() == recovery.SnapshotFrozen {
					s.Upload(&do)
				}
			case "capture":
				if s.Phase() == recovery.SnapshotUploading {
					s.Captured()
				}
			case "uploaded":
				had := s.Phase() != recovery.NoSnapshot
				if s.Uploaded(now) != had {
					t.Fatal("a snapshot is durable that was none, or the other way round")
				}
				if had {
					uploaded, lost, final = now, false, s.Closing()
				}
			case "lost":
				s.LogLost()
				lost, final = true, false
				if !s.Dirty() || s.Phase() != recovery.NoSnapshot {
					t.Fatalf("phase %d, dirty %v after a loss", s.Phase(), s.Dirty())
				}
			case "finish":
				finished = true
				s.Change()
			}
			if s.Final() != final || s.Lost() != lost {
				t.Fatalf("final %v, lost %v, want %v, %v", s.Final(), s.Lost(), final, lost)
			}
			at, forced := s.Forced(now, finished)
			switch {
			case lost:
				if !forced || at != now {
					t.Fatalf("after a loss the next one is due at %d, forced %v", at, forced)
				}
			case final:
				if !forced || at != 0 {
					t.Fatalf("after the last one another is due at %d, forced %v", at, forced)
				}
			case forced != finished || forced && at != now:
				t.Fatalf("finished %v: one is due at %d, forced %v", finished, at, forced)
			}
			if s.After(every) != uploaded+every || s.Soon(every) <= uploaded || s.Soon(every) > s.After(every) {
				t.Fatalf("the last one was at %d, the next are at %d and %d", uploaded, s.Soon(every), s.After(every))
			}
			if s.Phase() == recovery.NoSnapshot && s.Wake(now, 7, 0) != 7 {
				t.Fatal("the strategy's own moment is not kept")
			}
		}
	})
}
