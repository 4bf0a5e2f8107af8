package barrier

import (
	"fmt"
	"testing"

	"github.com/askback/askback/internal/channel"
	"github.com/askback/askback/internal/recovery/recoverytest"
	"github.com/askback/askback/msgid"
)

var stories = recoverytest.Stories{Factory: New, Base: &Base, Signal: describe}

func TestStories(t *testing.T) { stories.Run(t) }

func TestRules(t *testing.T) { recoverytest.ShowRules(t) }

func TestBugs(t *testing.T) { recoverytest.ShowBugs(t, stories, Bugs, Planted) }

// describe returns a signal with the barrier or the checkpoint that it names.
func describe(sig *channel.Signal, of msgid.Channel) string {
	w, name := wave(sig.Wave), fmt.Sprintf("%s %v", sig.Kind, of)
	has := func(f channel.SignalFlags) bool { return sig.Flags&f != 0 }
	if of.Target.Operator != Operator {
		switch sig.Kind {
		case channel.Mark:
			return fmt.Sprintf("%s#%d, barrier %v behind #%d", name, sig.Seq, w, sig.Have)
		case channel.Ack:
			return fmt.Sprintf("%s have #%d consumed #%d, barrier %v", name, sig.Have, sig.Consumed, w)
		}
		return ""
	}
	switch {
	case sig.Kind == channel.Mark && has(channel.Greet):
		return fmt.Sprintf("%s restored from %v", name, w)
	case sig.Kind == channel.Mark:
		text := fmt.Sprintf("%s stored %v", name, w)
		if has(channel.Committed) {
			text += ", committed"
		}
		if has(channel.Ended) {
			text += ", taken after the end"
		} else if has(channel.Urge) {
			text += ", ended since"
		}
		return text
	case sig.Kind == channel.Hello:
		return fmt.Sprintf("%s gathers epoch %d from %v", name, w.epoch(), wave(sig.Seq))
	case w.number() == 0:
		return fmt.Sprintf("%s runs epoch %d", name, w.epoch())
	case has(channel.Ended):
		return fmt.Sprintf("%s has committed %v, the last", name, w)
	case has(channel.Committed):
		return fmt.Sprintf("%s has committed %v", name, w)
	}
	return fmt.Sprintf("%s begins %v", name, w)
}
