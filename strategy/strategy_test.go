package strategy_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/askback/askback/strategy"
)

// A strategy's name leads back to it, as text and in JSON.
func TestNames(t *testing.T) {
	if len(strategy.All()) != len(strategy.Names()) || strategy.All()[0] != strategy.Backtrack || strategy.Strategy(0) != strategy.Backtrack {
		t.Errorf("%v, %v", strategy.All(), strategy.Names())
	}
	for _, s := range strategy.All() {
		named, err := strategy.Named(s.String())
		if err != nil || named != s || s.About() == "" || !s.Valid() {
			t.Errorf("%v: %v, %v", s, named, err)
		}
		text, err := json.Marshal(s)
		if err != nil || string(text) != `"`+s.String()+`"` {
			t.Errorf("%v: %s, %v", s, text, err)
		}
		var back strategy.Strategy
		if err := json.Unmarshal(text, &back); err != nil || back != s {
			t.Errorf("%v: %v, %v", s, back, err)
		}
	}
}

// A name that is unknown and a value that is no strategy are errors, and the error lists the names.
func TestUnknown(t *testing.T) {
	var s strategy.Strategy
	if err := json.Unmarshal([]byte(`"hope"`), &s); err == nil || !strings.Contains(err.Error(), "backtrack, barrier") {
		t.Error(err)
	}
	none := strategy.Strategy(200)
	if _, err := json.Marshal(none); err == nil || none.Valid() || none.Guarantee() != strategy.AtMostOnce || none.About() != "" {
		t.Errorf("%v: %v", none, err)
	}
}
