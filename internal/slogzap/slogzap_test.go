package slogzap_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"reflect"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/askback/askback/internal/slogzap"
)

// An entry reaches the handler with its level, message and fields, those of With included.
func TestFields(t *testing.T) {
	var out bytes.Buffer
	log := slogzap.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))
	log.Debug("not shown")
	log.With(zap.String("task", "count.3"), zap.Namespace("in"), zap.Int("at", 7)).Named("run").
		Warn("task failed", zap.Error(errors.New("no")), zap.Duration("in", time.Second), zap.Namespace("deep"), zap.Bool("yes", true), zap.Skip())
	var got map[string]any
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	delete(got, "time")
	want := map[string]any{
		"level": "WARN", "msg": "task failed", "task": "count.3",
		"in": map[string]any{"at": 7.0, "logger": "run", "error": "no", "in": 1e9, "deep": map[string]any{"yes": true}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The levels are those that a reader of either library expects, and a handler that takes none is not called.
func TestLevels(t *testing.T) {
	var out bytes.Buffer
	log := slogzap.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key != slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
	log.Debug("")
	log.Info("")
	log.Warn("")
	log.Error("")
	log.DPanic("")
	if want := "level=DEBUG\nlevel=INFO\nlevel=WARN\nlevel=ERROR\nlevel=ERROR+4\n"; out.String() != want {
		t.Errorf("%s, want %s", out.String(), want)
	}
	if slogzap.New(slog.DiscardHandler).Core().Enabled(zap.ErrorLevel) {
		t.Error("a handler that discards everything is asked to take an error")
	}
	if err := log.Sync(); err != nil {
		t.Error(err)
	}
}
