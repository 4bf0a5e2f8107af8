package journal

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Bounds of the client library's buffer for a subject while the writer has no room.
const (
	listenMessages = 64 << 10
	listenBytes    = 32 << 20
)

// Listen writes messages that arrive on a subject, in which "*" stands for a token and a final ">" for the rest, until
// Close. When too much is on its way it lets messages wait, and when too many wait the newest are lost, and counted.
func (j *Journal) Listen(subject string) error {
	if err := j.checkSubject(subject); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return ErrClosed
	}
	sub, err := j.nc.QueueSubscribe(subject, "journal-"+j.opt.Stream, j.onMessage)
	if err != nil {
		return fmt.Errorf("journal: listen to %s: %w", subject, err)
	}
	err = sub.SetPendingLimits(listenMessages, listenBytes)
	if err == nil {
		err = j.nc.FlushTimeout(j.opt.Timeout) // from here on the server knows of it
	}
	if err != nil {
		_ = sub.Unsubscribe()
		return fmt.Errorf("journal: listen to %s: %w", subject, err)
	}
	j.listeners = append(j.listeners, sub)
	return nil
}

// checkSubject refuses a subject that would close the client, or have the journal listen to itself.
func (j *Journal) checkSubject(subject string) error {
	tokens := strings.Split(subject, ".")
	for i, token := range tokens {
		if token == "" || strings.ContainsAny(token, " \t\r\n") || token == ">" && i < len(tokens)-1 {
			return fmt.Errorf("journal: subject %.80q: want tokens between dots, * for one, > for the rest", subject)
		}
	}
	if tokens[0] == ">" || tokens[0] == "*" || strings.HasPrefix(tokens[0], "$") || tokens[0] == "_INBOX" || tokens[0] == "journal" {
		return fmt.Errorf("journal: subject %.80q: its first token must be a name, and not that of NATS's or the journal's own subjects", subject)
	}
	return nil
}

// onMessage is called by the client's goroutine, one message of a subject after another. It returns before the
// message is durable: the writer has many on their way.
func (j *Journal) onMessage(m *nats.Msg) {
	reply := func(err error) {
		switch {
		case m.Reply == "" && err != nil:
			j.stats.unanswerable.Add(1)
		case m.Reply == "":
		case err != nil:
			_ = m.Respond([]byte("-ERR " + err.Error()))
		default:
			_ = m.Respond([]byte("+OK"))
		}
	}
	size := int64(len(m.Data))
	if err := j.writer.reserveSoon(size); err != nil {
		j.stats.failed.Add(1)
		reply(err)
		return
	}
	kept := &nats.Msg{Subject: "journal." + j.opt.Stream + ".nats." + m.Subject, Data: m.Data}
	if key := m.Header.Get(nats.MsgIdHdr); key != "" {
		kept.Header = nats.Header{nats.MsgIdHdr: {messageID(kept.Subject, key, m.Data)}}
	}
	j.writer.write(kept, size, func(_ ack, err error) { reply(err) })
}

// drain ends a subscription when everything that has arrived has been taken.
func drain(sub *nats.Subscription, timeout time.Duration) error {
	closed := sub.StatusChanged(nats.SubscriptionClosed)
	if err := sub.Drain(); err != nil {
		if errors.Is(err, nats.ErrConnectionClosed) {
			return nil
		}
		return err
	}
	select {
	case <-closed:
		return nil
	case <-time.After(timeout):
		_ = sub.Unsubscribe()
		return fmt.Errorf("subject %s did not end within %v", sub.Subject, timeout)
	}
}
