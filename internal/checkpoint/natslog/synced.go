package natslog

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/checkpoint"
)

// Synced implements checkpoint.Log. Under Power it returns End; under Process it returns the newest position that is two
// sync intervals old, counted from the opening of this log. A change of the epoch begins the count anew, and purging then
// waits once more.
func (l *Log) Synced() checkpoint.Pos { return l.sync.synced() }

// Epoch implements checkpoint.Log. It changes when the connection was lost, when a request was not answered, and when
// positions are seen to go back, for then the server may have lost power. In a cluster it can miss that another server,
// with the only replica of the stream, lost power while this log was idle; three replicas lose no acknowledged entry unless
// two of them lose power.
func (l *Log) Epoch() uint64 {
	l.sync.mu.Lock()
	defer l.sync.mu.Unlock()
	return l.sync.epoch()
}

// syncMarks holds positions of the stream with their times. Positions are the stream's, so one mark serves all aliases.
type syncMarks struct {
	nc       *nats.Conn
	always   bool
	interval time.Duration
	now      func() time.Time

	mu        sync.Mutex
	last      checkpoint.Pos
	marks     []mark // oldest first, a sixteenth of the interval apart, so at most some 34
	doubts    uint64 // requests without an answer, positions that went back
	forgotten uint64 // the epoch in which the marks were taken, or a later one
}

type mark struct {
	at  time.Time
	pos checkpoint.Pos
}

func (s *syncMarks) init(nc *nats.Conn, opt Options) {
	s.nc, s.always, s.interval, s.now = nc, opt.Durability == Power, opt.SyncInterval, time.Now
	s.forgotten = s.epoch()
}

// newest returns the newest position seen.
func (s *syncMarks) newest() checkpoint.Pos {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// note records an append at pos that began when the newest position was seen.
func (s *syncMarks) note(seen, pos checkpoint.Pos) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if pos <= seen {
		s.doubts++
		s.last = 0
	}
	s.last = max(s.last, pos)
	now := s.now()
	s.ripen(now)
	if n := len(s.marks); n == 0 || now.Sub(s.marks[n-1].at) >= s.interval/16 {
		s.marks = append(s.marks, mark{now, pos})
	}
}

func (s *syncMarks) synced() checkpoint.Pos {
	if s.always {
		return checkpoint.End
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	s.ripen(now)
	if len(s.marks) > 0 && s.ripe(s.marks[0], now) {
		return s.marks[0].pos
	}
	return 0
}

// doubt records a request without an answer.
func (s *syncMarks) doubt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.doubts++
}

func (s *syncMarks) epoch() uint64 { return s.nc.Stats().Reconnects + s.doubts }

// ripen drops the marks that a newer ripe one replaces, and all of an earlier epoch.
func (s *syncMarks) ripen(now time.Time) {
	if e := s.epoch(); e != s.forgotten {
		s.forgotten, s.marks = e, nil
	}
	for len(s.marks) > 1 && s.ripe(s.marks[1], now) {
		s.marks = s.marks[1:]
	}
}

// ripe reports whether the server must have synced the position of m: one interval until the next sync begins, and as much
// again for a slow disk.
func (s *syncMarks) ripe(m mark, now time.Time) bool { return now.Sub(m.at) >= 2*s.interval }
