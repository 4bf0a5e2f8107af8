package nimbus

import (
	"fmt"
	"testing"
)

// Only a worker's newest heartbeat is queued, so a flood crowds out no other worker.
func TestSounds(t *testing.T) {
	s := newHeartbeatQueue()
	heard := ""
	for i := range 10 * maxHeartbeats {
		if !s.put("flood", func() { heard += fmt.Sprintf("flood %d ", i) }) {
			t.Fatal("no room for the one that floods")
		}
	}
	if !s.put("other", func() { heard += "other" }) {
		t.Fatal("no room for another")
	}
	for range len(s.subjects) {
		s.take(<-s.subjects)()
	}
	if want := fmt.Sprintf("flood %d other", 10*maxHeartbeats-1); heard != want {
		t.Errorf("heard %q, want %q", heard, want)
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
