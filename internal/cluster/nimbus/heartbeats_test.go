package nimbus

import (
	"fmt"
	"testing"
)

// Only a worker's newest heartbeat is queued, so a flood crowds out no other worker.
func TestHeartbeatQueue(t *testing.T) {
	s := newHeartbeatQueue()
	handled := ""
	for i := range 10 * maxHeartbeats {
		if !s.put("flood", func() { handled += fmt.Sprintf("flood %d ", i) }) {
			t.Fatal("no room for the one that floods")
		}
	}
	if !s.put("other", func() { handled += "other" }) {
		t.Fatal("no room for another")
	}
	for range len(s.subjects) {
		s.take(<-s.subjects)()
	}
	if want := fmt.Sprintf("flood %d other", 10*maxHeartbeats-1); handled != want {
		t.Errorf("handled %q, want %q", handled, want)
	}
	for i := range maxHeartbeats {
		if !s.put(fmt.Sprint(i), func() {}) {
			t.Fatalf("no room for number %d", i)
		}
	}
	if s.put("one more", func() {}) {
		t.Error("there is no end of room")
	}
}
