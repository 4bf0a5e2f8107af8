package worker

import (
	"encoding/json"
	"reflect"
	"testing"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/recovery"
)

// Every setting that has a default reaches the strategy through a Spec.
func TestSettingsReachTheStrategy(t *testing.T) {
	var c recovery.Config
	defaults := reflect.ValueOf(c.Defaulted())
	fields := reflect.ValueOf(&c).Elem()
	for i := range fields.NumField() {
		switch f := fields.Field(i); {
		case defaults.Field(i).IsZero():
		case f.CanUint():
			f.SetUint(uint64(1000 + i))
		default:
			f.SetInt(int64(1000 + i))
		}
	}
	text, err := json.Marshal(settingsOf(&c))
	if err != nil {
		t.Fatal(err)
	}
	var s cluster.Settings
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	if got := configOf(&s); c.Window == 0 || c.MessageTimeout == 0 || !reflect.DeepEqual(got, c) {
		t.Errorf("%s is %+v, want %+v", text, got, c)
	}
}
