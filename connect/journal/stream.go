package journal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Limits of a stream that Options do not give.
const (
	defaultMaxBytes = 1 << 30
	defaultMaxAge   = 7 * 24 * time.Hour
)

// subjects returns the subjects of a journal's stream.
func subjects(stream string) string { return "journal." + stream + ".>" }

// openStream makes the stream, or checks it and sets the limits that opt gives.
func openStream(ctx context.Context, js jetstream.JetStream, opt *Options) error {
	s, err := js.Stream(ctx, opt.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = js.CreateStream(ctx, config(opt))
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) { // made by another process, otherwise
			s, err = js.Stream(ctx, opt.Stream)
		}
	}
	if err != nil {
		return fmt.Errorf("journal: open stream %s: %w", opt.Stream, err)
	}
	c := s.CachedInfo().Config
	if err := checkConfig(c); err != nil {
		return err
	}
	changed := false
	if opt.MaxBytes > 0 && c.MaxBytes != opt.MaxBytes {
		c.MaxBytes, changed = opt.MaxBytes, true
	}
	if opt.MaxAge > 0 && c.MaxAge != opt.MaxAge {
		c.MaxAge, changed = opt.MaxAge, true
	}
	if changed {
		if _, err := js.UpdateStream(ctx, c); err != nil {
			return fmt.Errorf("journal: set the limits of stream %s: %w", opt.Stream, err)
		}
	}
	return nil
}

// config is the stream as Open makes it.
func config(opt *Options) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:        opt.Stream,
		Description: "Askback: journal of pushed messages",
		Subjects:    []string{subjects(opt.Stream)},
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		// A full journal must refuse. The default would drop its oldest lines, read or not.
		Discard:     jetstream.DiscardNew,
		MaxBytes:    opt.MaxBytes,
		MaxAge:      opt.MaxAge,
		MaxMsgs:     -1,
		Replicas:    opt.Replicas,
		Duplicates:  opt.Window,
		AllowDirect: true,
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultMaxBytes
	}
	if c.MaxAge == 0 {
		c.MaxAge = max(defaultMaxAge, opt.Window)
	}
	return c
}

// checkConfig refuses settings that would lose lines. Other settings are the operator's choice.
func checkConfig(c jetstream.StreamConfig) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("journal: stream %s cannot be a journal: %s; correct it with nats stream edit, or choose another name", c.Name, fmt.Sprintf(format, args...))
	}
	switch {
	case len(c.Subjects) != 1 || c.Subjects[0] != subjects(c.Name):
		return bad("its subjects are %.200q, want %q", c.Subjects, subjects(c.Name))
	case c.Storage != jetstream.FileStorage:
		return bad("storage is memory, want file")
	case c.Retention != jetstream.LimitsPolicy:
		return bad("retention is %s, want limits", c.Retention)
	case c.Discard != jetstream.DiscardNew:
		return bad("it discards old lines when it is full, want discard new")
	case c.MaxMsgsPerSubject > 0:
		return bad("max_msgs_per_subject is %d, want no limit", c.MaxMsgsPerSubject)
	case c.NoAck:
		return bad("no_ack is set")
	case c.Sealed:
		return bad("it is sealed")
	case c.PersistMode != jetstream.DefaultPersistMode:
		return bad("persist_mode is %s, which loses acknowledged lines when the server is killed", c.PersistMode)
	case c.SubjectTransform != nil:
		return bad("it has a subject transform")
	}
	return nil
}
