package journal

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/msgid"
)

// Handler returns the handler of requests, for a server of one's own, which also decides who may send. See NewServer
// for a complete one.
func (j *Journal) Handler() http.Handler { return http.HandlerFunc(j.post) }

// post takes one request. Each of its steps may refuse it, and only the last one writes.
func (j *Journal) post(w http.ResponseWriter, r *http.Request) {
	subject, key, err := j.admit(w, r)
	if err != nil {
		j.refuse(w, err)
		return
	}
	// Room is taken before the body is read, so that bodies cannot fill the memory.
	room := int64(j.opt.MaxBody)
	if r.ContentLength >= 0 {
		room = r.ContentLength
	}
	if err := j.writer.reserve(room); err != nil {
		j.stats.failed.Add(1)
		j.refuse(w, err)
		return
	}
	m, lines, err := j.read(w, r, subject, key)
	if err != nil {
		j.writer.release(room)
		j.refuse(w, err)
		return
	}
	type result struct {
		ack ack
		err error
	}
	outcome := make(chan result, 1)
	j.writer.write(m, room, func(a ack, err error) { outcome <- result{a, err} })
	switch got := <-outcome; { // the writer gives up after its timeout
	case got.err != nil:
		j.refuse(w, got.err)
	case got.ack.duplicate:
		answer(w, `{"lines":%d,"seq":%d,"duplicate":true}`+"\n", lines, got.ack.seq)
	default:
		answer(w, `{"lines":%d,"seq":%d}`+"\n", lines, got.ack.seq)
	}
}

func answer(w http.ResponseWriter, format string, args ...any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, format, args...)
}

// A requestError is the sender's mistake.
type requestError struct {
	status int
	why    string
}

func (e *requestError) Error() string { return e.why }

// maxKey bounds an Idempotency-Key.
const maxKey = 200

// admit looks at everything but the body.
func (j *Journal) admit(w http.ResponseWriter, r *http.Request) (subject, key string, err error) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return "", "", &requestError{http.StatusMethodNotAllowed, "want POST"}
	}
	subject = "journal." + j.opt.Stream + ".http"
	if topic := strings.TrimPrefix(r.URL.Path, "/"); topic != "" {
		if !msgid.ValidName(topic) {
			return "", "", &requestError{http.StatusNotFound, fmt.Sprintf("the path is /TOPIC, 1 to %d of A-Z a-z 0-9 _ -", msgid.MaxName)}
		}
		subject += "." + topic
	}
	if e := r.Header.Get("Content-Encoding"); e != "" && e != "identity" {
		return "", "", &requestError{http.StatusUnsupportedMediaType, "the body must not be compressed"}
	}
	key = r.Header.Get("Idempotency-Key")
	if !validKey(key) {
		return "", "", &requestError{http.StatusBadRequest, fmt.Sprintf("Idempotency-Key: want at most %d visible characters", maxKey)}
	}
	if r.ContentLength > int64(j.opt.MaxBody) {
		return "", "", j.tooLarge()
	}
	return subject, key, nil
}

func validKey(key string) bool {
	if len(key) > maxKey {
		return false
	}
	for _, c := range []byte(key) {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func (j *Journal) tooLarge() error {
	return &requestError{http.StatusRequestEntityTooLarge, fmt.Sprintf("the body has more than %d bytes: send less at a time", j.opt.MaxBody)}
}

// read reads the body and makes a message of it.
func (j *Journal) read(w http.ResponseWriter, r *http.Request, subject, key string) (m *nats.Msg, lines int, err error) {
	limited := http.MaxBytesReader(w, r.Body, int64(j.opt.MaxBody))
	var body []byte
	if r.ContentLength >= 0 {
		body = make([]byte, r.ContentLength)
		_, err = io.ReadFull(limited, body)
	} else {
		body, err = io.ReadAll(limited)
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, 0, j.tooLarge()
	case err != nil:
		return nil, 0, &requestError{http.StatusBadRequest, "the body could not be read to its end"}
	}
	kept, lines, err := parseLines(body)
	if err != nil {
		return nil, 0, &requestError{http.StatusBadRequest, err.Error()}
	}
	m = &nats.Msg{Subject: subject, Data: kept}
	if key != "" {
		m.Header = nats.Header{nats.MsgIdHdr: {messageID(subject, key, kept)}}
	}
	return m, lines, nil
}

// messageID makes JetStream's message id from a sender's key. The data is in it, so that a key which is used again for
// other data, by mistake, does not have them acknowledged and not written; so is the subject. A digest keeps it short
// for any key.
func messageID(subject, key string, data []byte) string {
	h := sha256.New()
	_, _ = fmt.Fprintf(h, "%q %q ", subject, key)
	_, _ = h.Write(data)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Delays that a sender is asked to keep, in seconds.
const (
	retrySoon  = 1
	retryLater = 30
)

// refuse answers a request that is not written, or perhaps not.
func (j *Journal) refuse(w http.ResponseWriter, err error) {
	var bad *requestError
	status, retry := http.StatusServiceUnavailable, retrySoon
	switch {
	case errors.As(err, &bad):
		j.stats.refused.Add(1)
		http.Error(w, bad.why, bad.status)
		return
	case errors.Is(err, ErrBusy):
		status = http.StatusTooManyRequests
	case errors.Is(err, ErrFull):
		status, retry = http.StatusInsufficientStorage, retryLater
	}
	w.Header().Set("Retry-After", strconv.Itoa(retry))
	http.Error(w, err.Error(), status)
}
