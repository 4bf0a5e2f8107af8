package natschan

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// A Claim is the right of one run to use the subjects and the log of a topology. Two runs at once would mix their frames
// and delete each other's log. A run holds its claim as long as it is connected: it answers every other claim on the
// subject <prefix>.<topology>.claim. So a claim ends with its process, and needs no cleaning up.
//
// A claimant subscribes, then asks. If two do so at the same time, at least one receives the other's question; if neither
// has its claim yet, the lower id wins. On several servers a claimant may ask before another server has learned of the
// subscription; two runs that begin within that moment are not noticed.
type Claim struct {
	nc     *nats.Conn
	closed chan struct{}

	mu   sync.Mutex
	self Claimant
	rank string
	lost *ClaimedError
}

// A Claimant is the process that has claimed a topology, or asks for it.
type Claimant struct {
	Host  string    `json:"host"`
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// claimMessage is a question on the subject, and its answer.
type claimMessage struct {
	Claimant
	ID   string `json:"id"`
	Held bool   `json:"held"` // the sender has its claim
}

// A ClaimedError occurs when another run has claimed the topology.
type ClaimedError struct {
	Topology string
	By       Claimant // zero if it does not answer
}

func (e *ClaimedError) Error() string {
	remedy := "stop it, or give this one another name"
	if e.By == (Claimant{}) {
		return fmt.Sprintf("natschan: topology %q exists: another run of it is connected and does not answer; %s; if its host has died, try again when the server has noticed", e.Topology, remedy)
	}
	return fmt.Sprintf("natschan: topology %q exists: process %d on host %s runs it since %s; %s", e.Topology, e.By.PID, e.By.Host,
		e.By.Since.Format(time.DateTime), remedy)
}

// Limits of the wait for answers. The server reports at once that there is no other claimant.
const (
	claimTimeout = time.Second            // for the first answer, twice
	claimMore    = 200 * time.Millisecond // for further ones
)

// NewClaim claims a topology. It fails with a *ClaimedError if another run has it.
func NewClaim(cfg Config) (*Claim, error) {
	if err := cfg.normalize(); err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	host, _ := os.Hostname()
	c := &Claim{
		closed: make(chan struct{}), rank: rand.Text(),
		self: Claimant{Host: cmp.Or(host, "unknown"), PID: os.Getpid(), Since: time.Now().Round(time.Second)},
	}
	opts := append(cfg.connectOptions("claim"), nats.NoEcho(), nats.ClosedHandler(func(*nats.Conn) { close(c.closed) }))
	var err error
	if c.nc, err = nats.Connect(cfg.URL, opts...); err != nil {
		return nil, fmt.Errorf("%w: claim connection to %s: %w", ErrConnect, cfg.where(), err)
	}
	if err := c.ask(cfg.Prefix+"."+cfg.Topology+".claim", cfg.Topology); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// ask subscribes and asks the other claimants.
func (c *Claim) ask(subject, topology string) error {
	if _, err := c.nc.Subscribe(subject, func(m *nats.Msg) { c.answer(m, topology) }); err != nil {
		return fmt.Errorf("claim %s: %w", topology, err)
	}
	inbox, err := c.nc.SubscribeSync(c.nc.NewInbox())
	if err != nil {
		return fmt.Errorf("claim %s: %w", topology, err)
	}
	defer func() { _ = inbox.Unsubscribe() }()
	request := func() error { return c.nc.PublishRequest(subject, inbox.Subject, c.message()) }
	again := true
	err = request()
	for wait := claimTimeout; err == nil; {
		var m *nats.Msg
		m, err = inbox.NextMsg(wait)
		switch {
		case err == nil:
			c.compare(m.Data, topology)
			if lost := c.loss(); lost != nil {
				return lost
			}
			wait = claimMore
		case errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrTimeout) && wait == claimMore:
			return c.hold()
		case errors.Is(err, nats.ErrTimeout) && again: // another claimant may have lost, and left before it answered
			again, err = false, request()
		case errors.Is(err, nats.ErrTimeout):
			return &ClaimedError{Topology: topology}
		}
	}
	return fmt.Errorf("claim %s: %w", topology, err)
}

// hold takes the claim, unless another claimant has won meanwhile.
func (c *Claim) hold() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		return c.lost
	}
	c.rank = "" // lower than any other's
	return nil
}

// loss returns the error of a claimant that another one precedes; nil if none does.
func (c *Claim) loss() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lost != nil {
		return c.lost
	}
	return nil
}

// message returns the claim as others receive it.
func (c *Claim) message() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	b, err := json.Marshal(claimMessage{Claimant: c.self, ID: c.rank, Held: c.rank == ""})
	if err != nil {
		panic(err) // never: it consists of texts, numbers and a time
	}
	return b
}

// answer answers another claimant.
func (c *Claim) answer(m *nats.Msg, topology string) {
	c.compare(m.Data, topology)
	_ = m.Respond(c.message()) // one that gets no answer asks for the reason
}

// compare gives up this claim if another one precedes it.
func (c *Claim) compare(data []byte, topology string) {
	var other claimMessage
	if json.Unmarshal(data, &other) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rank != "" && c.lost == nil && (other.Held || other.ID < c.rank) {
		c.lost = &ClaimedError{Topology: topology, By: other.Claimant}
	}
}

// Close ends the claim.
func (c *Claim) Close() {
	c.nc.Close()
	<-c.closed
}
