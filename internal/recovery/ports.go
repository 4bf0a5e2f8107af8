package recovery

import "github.com/askback/askback/internal/channel"

// ToSource makes an action of a signal to the source of an input's channel.
func (c *Config) ToSource(in Input, sig channel.Signal) Action {
	sig.Plan, sig.Channel, sig.Incarnation = c.Plan, c.Inputs[in].Number, c.Incarnation
	return Action{Kind: Signal, Input: in, Signal: sig}
}

// ToTarget makes an action of a signal to the target of an output's channel. Marks go in order with the data: that is
// their meaning.
func (c *Config) ToTarget(out Output, sig channel.Signal) Action {
	sig.Plan, sig.Channel, sig.Incarnation = c.Plan, c.Outputs[out].Number, c.Incarnation
	return Action{Kind: Signal, Output: out, Signal: sig, InBand: sig.Kind == channel.Mark}
}

// InputsEnded reports whether all inputs of a task have ended. A task without inputs is a spout, and ends by itself.
func InputsEnded[T any](inputs []T, ended func(*T) bool) bool {
	return len(inputs) > 0 && all(inputs, ended)
}

// Turns gives the inputs of a task their turns, round robin. The zero Turns begins with the first input.
type Turns struct{ next int }

// Next returns the next input in turn that is ready, or nil. An input that stays ready waits for no more turns than
// there are other inputs.
func Next[T any](t *Turns, inputs []T, ready func(*T) bool) *T {
	for k := range inputs {
		i := (t.next + k) % len(inputs)
		if in := &inputs[i]; ready(in) {
			t.next = i + 1
			return in
		}
	}
	return nil
}

// Blocked returns the output that keeps a task from running its operator: the first one that is a window of bytes ahead of
// its target; or, if all together retain as much as the bound, the one that retains most. It returns NoOutput if there is
// none. Load returns how many bytes an output is ahead and how many it retains.
func Blocked[T any](outputs []T, window, bound int, load func(*T) (ahead, retained uint64)) Output {
	total, most, fullest := uint64(0), uint64(0), NoOutput
	for o := range outputs {
		ahead, retained := load(&outputs[o])
		if ahead >= uint64(window) {
			return Output(o)
		}
		if total += retained; retained > most {
			most, fullest = retained, Output(o)
		}
	}
	if total >= uint64(bound) {
		return fullest
	}
	return NoOutput
}

func all[T any](list []T, is func(*T) bool) bool {
	for k := range list {
		if !is(&list[k]) {
			return false
		}
	}
	return true
}
