package streamtest

import (
	"fmt"
	"slices"
	"testing"
)

// maxKills bounds how often KillEverywhere runs a test.
const maxKills = 1000

// KillEverywhere calls test once with a harness as New returns it, and then again for each step that this run has taken,
// once for each of its tasks and once for all of them together, with a harness that kills them there. A failure of the test
// names the kill, and ends the calls. If there are more than 1000 calls, the kills are spread evenly over the run; in
// testing's short mode, over a tenth of that.
//
// Test is to declare a topology, to send and to compare, and to end with Finish. The testing.TB that it gets stands for t,
// which it must not use itself; its Cleanup takes effect after each call.
func KillEverywhere(t *testing.T, test func(t testing.TB, h *Harness), options ...Option) {
	t.Helper()
	everywhere(t, test, options)
}

func everywhere(t testing.TB, test func(t testing.TB, h *Harness), options []Option) {
	t.Helper()
	plain := runOnce(t, test, "without a kill", options)
	if t.Failed() {
		return
	}
	var victims [][]string
	for _, task := range plain.Tasks() {
		victims = append(victims, []string{task})
	}
	if len(victims) > 1 {
		victims = append(victims, plain.Tasks())
	}
	points, most := (plain.Steps()+1)*len(victims), maxKills
	if testing.Short() {
		most /= 10
	}
	stride := (points + most - 1) / most
	if stride > 1 && len(victims)%stride == 0 {
		stride++ // else some are never killed
	}
	for p := 0; p < points && !t.Failed(); p += stride {
		step, names := p/len(victims), victims[p%len(victims)]
		where := fmt.Sprintf("with %s killed at step %d of %d", names[0], step, plain.Steps())
		if len(names) > 1 {
			where = fmt.Sprintf("with all tasks killed at step %d of %d", step, plain.Steps())
		}
		runOnce(t, test, where, append(slices.Clip(options), func(h *Harness) { h.KillAt(step, names...) }))
	}
}

// runOnce calls a test with a harness of its own.
func runOnce(t testing.TB, test func(testing.TB, *Harness), where string, options []Option) *Harness {
	t.Helper()
	own := &located{TB: t, where: where}
	defer own.clean()
	h := New(own, options...)
	test(own, h)
	return h
}

// A located TB adds the place of the kill to each failure.
type located struct {
	testing.TB
	where    string
	cleanups []func()
}

// Cleanup calls f after the call of the test.
func (t *located) Cleanup(f func()) { t.cleanups = append(t.cleanups, f) }

func (t *located) clean() {
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
}

func (t *located) Error(args ...any) {
	t.Helper()
	t.TB.Errorf("%s: %s", t.where, fmt.Sprint(args...))
}

func (t *located) Errorf(format string, args ...any) {
	t.Helper()
	t.TB.Errorf("%s: %s", t.where, fmt.Sprintf(format, args...))
}

func (t *located) Fatal(args ...any) {
	t.Helper()
	t.TB.Fatalf("%s: %s", t.where, fmt.Sprint(args...))
}

func (t *located) Fatalf(format string, args ...any) {
	t.Helper()
	t.TB.Fatalf("%s: %s", t.where, fmt.Sprintf(format, args...))
}
