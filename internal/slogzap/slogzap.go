// Package slogzap lets the runtime, which logs with zap, log to a handler of log/slog.
package slogzap

import (
	"context"
	"log/slog"
	"maps"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// New returns a zap logger that hands every entry to a handler: level, time, message, and fields as attributes. The
// name of a logger is the attribute "logger", and its stack the attribute "stack".
func New(h slog.Handler) *zap.Logger { return zap.New(core{h}) }

// A core is a zapcore.Core on a handler.
type core struct{ h slog.Handler }

// Enabled implements zapcore.LevelEnabler.
func (c core) Enabled(l zapcore.Level) bool { return c.h.Enabled(context.Background(), level(l)) }

// With implements zapcore.Core.
func (c core) With(fields []zapcore.Field) zapcore.Core {
	h := c.h
	for len(fields) > 0 {
		n := slices.IndexFunc(fields, func(f zapcore.Field) bool { return f.Type == zapcore.NamespaceType })
		if n < 0 {
			return core{h.WithAttrs(attrs(fields))}
		}
		h = h.WithAttrs(attrs(fields[:n])).WithGroup(fields[n].Key)
		fields = fields[n+1:]
	}
	return core{h}
}

// Check implements zapcore.Core.
func (c core) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Write implements zapcore.Core.
func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, level(e.Level), e.Message, e.Caller.PC)
	if e.LoggerName != "" {
		r.AddAttrs(slog.String("logger", e.LoggerName))
	}
	r.AddAttrs(attrs(fields)...)
	if e.Stack != "" {
		r.AddAttrs(slog.String("stack", e.Stack))
	}
	return c.h.Handle(context.Background(), r)
}

// Sync implements zapcore.Core. A handler keeps nothing back.
func (core) Sync() error { return nil }

// attrs converts fields. Fields behind a namespace are in a group of that name.
func attrs(fields []zapcore.Field) (all []slog.Attr) {
	for i, f := range fields {
		switch f.Type {
		case zapcore.SkipType:
		case zapcore.NamespaceType:
			return append(all, slog.Attr{Key: f.Key, Value: slog.GroupValue(attrs(fields[i+1:])...)})
		case zapcore.ErrorType: // zap would add a verbose form
			all = append(all, slog.Any(f.Key, f.Interface))
		default:
			values := zapcore.NewMapObjectEncoder()
			f.AddTo(values)
			for _, key := range slices.Sorted(maps.Keys(values.Fields)) {
				all = append(all, slog.Any(key, values.Fields[key]))
			}
		}
	}
	return all
}

// level returns the level of slog that a level of zap means. Those above error are more severe than slog.LevelError.
func level(l zapcore.Level) slog.Level {
	switch {
	case l < zapcore.DebugLevel:
		return slog.LevelDebug - 4
	case l == zapcore.DebugLevel:
		return slog.LevelDebug
	case l == zapcore.InfoLevel:
		return slog.LevelInfo
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	case l == zapcore.ErrorLevel:
		return slog.LevelError
	}
	return slog.LevelError + 4
}
