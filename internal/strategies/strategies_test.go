package strategies_test

import (
	"testing"

	"github.com/askback/askback/internal/strategies"
	"github.com/askback/askback/strategy"
)

// Every strategy that programs can name is executed by something, and a value that is no strategy by nothing.
func TestEveryStrategy(t *testing.T) {
	for _, s := range strategy.All() {
		i, err := strategies.Named(s.String())
		if err != nil || i.Strategy != s || i.New == nil {
			t.Errorf("%v: %+v, %v", s, i, err)
		}
		if promises := s.Guarantee() == strategy.ExactlyOnce; promises && i.Log == nil {
			t.Errorf("%v promises %v without a log", s, s.Guarantee())
		}
	}
	if i, err := strategies.Of(strategy.Strategy(100)); err == nil {
		t.Errorf("%+v", i)
	}
}
