package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// Errors of a Client.
var (
	// ErrDenied occurs when the user lacks a permission. The message names the role that has it.
	ErrDenied = errors.New("not permitted")
	// ErrUnreachable occurs when no server can be connected to.
	ErrUnreachable = errors.New("the cluster cannot be reached")
)

// Options configure a Client.
type Options struct {
	Connection natscluster.Connection
	Name       string        // of the connection, as NATS servers show it; default "askback"
	Timeout    time.Duration // for connecting, and for an answer; default 10 s
	OnWaiting  func()        // called once for each request that has no answer after 700 ms; may be nil
}

// waitingAfter is the time after which OnWaiting is called.
const waitingAfter = 700 * time.Millisecond

// A Client sends requests to a cluster on behalf of a user. Its methods may be called from any goroutine.
type Client struct {
	nc       *nats.Conn
	subjects natscluster.Subjects
	user     *natscluster.User
	opt      Options
	denied   chan error // the first denial: NATS reports it asynchronously
}

// Dial connects to a cluster. Close ends the connection.
func Dial(o Options) (*Client, error) {
	o.Name, o.Timeout = cmp.Or(o.Name, "askback"), cmp.Or(o.Timeout, 10*time.Second)
	if o.OnWaiting == nil {
		o.OnWaiting = func() {}
	}
	user, err := o.Connection.User()
	if err != nil {
		return nil, err
	}
	c := &Client{subjects: o.Connection.Subjects(), user: user, opt: o, denied: make(chan error, 1)}
	c.nc, err = o.Connection.Connect(o.Name, user, nats.ErrorHandler(c.onError), nats.Timeout(o.Timeout))
	switch {
	case errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired):
		return nil, fmt.Errorf("%w: %w", ErrDenied, err)
	case errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrTimeout):
		return nil, fmt.Errorf("%w: %w", ErrUnreachable, err)
	case err != nil:
		return nil, err
	}
	return c, nil
}

// Close ends the connection.
func (c *Client) Close() { c.nc.Close() }

func (c *Client) onError(_ *nats.Conn, _ *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		select {
		case c.denied <- err:
		default:
		}
	}
}

// ask sends a request to the leading nimbus.
func ask[Answer any](ctx context.Context, c *Client, role cluster.Role, verb string, question any) (answer Answer, err error) {
	err = c.guarded(ctx, role, verb, func(ctx context.Context) error {
		defer c.noticeWaiting()()
		limited, stop := context.WithTimeout(ctx, c.opt.Timeout)
		defer stop()
		answer, err = natscluster.Request[Answer](limited, c.nc, c.subjects.API(role, verb), question)
		return err
	})
	return answer, err
}

// noticeWaiting calls OnWaiting after a while, unless stop is called before; after stop it is not called.
func (c *Client) noticeWaiting() (stop func()) {
	stopped, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		timer := time.NewTimer(waitingAfter)
		defer timer.Stop()
		select {
		case <-timer.C:
			c.opt.OnWaiting()
		case <-stopped:
		}
	}()
	return func() { close(stopped); <-ended }
}

// guarded calls f, and cancels its context when the server denies something meanwhile: then the error is ErrDenied.
func (c *Client) guarded(ctx context.Context, role cluster.Role, verb string, f func(context.Context) error) error {
	guarded, cancel := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case err := <-c.denied:
			cancel(denied(verb, role, err))
		case <-guarded.Done():
		}
	}()
	err := f(guarded)
	cause := context.Cause(guarded)
	cancel(nil)
	<-watched
	if err != nil && cause != nil {
		return cause
	}
	return err
}

func denied(verb string, role cluster.Role, err error) error {
	return fmt.Errorf("%w: %w; %s needs the role %s", ErrDenied, err, verb, role)
}

// List returns all topologies and supervisors.
func (c *Client) List(ctx context.Context) (*cluster.ListReply, error) {
	return ask[*cluster.ListReply](ctx, c, cluster.View, cluster.VerbList, struct{}{})
}

// Describe returns a topology with the state of its workers and tasks.
func (c *Client) Describe(ctx context.Context, name string) (*cluster.Description, error) {
	return ask[*cluster.Description](ctx, c, cluster.View, cluster.VerbDescribe, cluster.NameRequest{Name: name})
}

// Kill ends a topology: its spouts at once, its workers and its log after wait.
func (c *Client) Kill(ctx context.Context, name string, wait time.Duration) (*cluster.Record, error) {
	return ask[*cluster.Record](ctx, c, cluster.Operate, cluster.VerbKill, cluster.KillRequest{Name: name, Wait: wait})
}

// Activate lets the spouts of a topology emit, also those of one that has failed.
func (c *Client) Activate(ctx context.Context, name string) (*cluster.Record, error) {
	return ask[*cluster.Record](ctx, c, cluster.Operate, cluster.VerbActivate, cluster.NameRequest{Name: name})
}

// Deactivate keeps the spouts of a topology from emitting.
func (c *Client) Deactivate(ctx context.Context, name string) (*cluster.Record, error) {
	return ask[*cluster.Record](ctx, c, cluster.Operate, cluster.VerbDeactivate, cluster.NameRequest{Name: name})
}

// Restart ends one task as by a crash. It is restored.
func (c *Client) Restart(ctx context.Context, name string, task msgid.Alias) (*cluster.Record, error) {
	return ask[*cluster.Record](ctx, c, cluster.Operate, cluster.VerbRestart, cluster.RestartRequest{Name: name, Task: task})
}

// SetLogLevel changes for a while how much the workers of a topology log.
func (c *Client) SetLogLevel(ctx context.Context, name, level string, length time.Duration) (*cluster.Record, error) {
	return ask[*cluster.Record](ctx, c, cluster.Operate, cluster.VerbLevel, cluster.LevelRequest{Name: name, Level: level, For: length})
}

// RemoveHost makes nimbus forget a supervisor that is gone.
func (c *Client) RemoveHost(ctx context.Context, name string) (*cluster.Host, error) {
	return ask[*cluster.Host](ctx, c, cluster.Admin, cluster.VerbRemove, cluster.NameRequest{Name: name})
}

// Rebalance places a topology afresh on a number of workers; 0 is as many as before.
func (c *Client) Rebalance(ctx context.Context, name string, workers int) (*cluster.Record, error) {
	return ask[*cluster.Record](ctx, c, cluster.Operate, cluster.VerbRebalance, cluster.RebalanceRequest{Name: name, Workers: workers})
}

// rescaleEvery is how often the progress of a Rescale is read.
const rescaleEvery = 200 * time.Millisecond

// Rescale gives stateless operators other numbers of tasks, and waits until the topology has them. It calls quiescing when
// the change has begun. If the topology does not quiesce in time, it goes on as before, and the error is a
// *cluster.RequestError of CodeConflict.
func (c *Client) Rescale(ctx context.Context, name string, parallel map[string]int, quiescing func()) (*cluster.Record, error) {
	begun, err := ask[*cluster.Record](ctx, c, cluster.Operate, cluster.VerbRebalance, cluster.RebalanceRequest{Name: name, Parallel: parallel})
	if err != nil || begun.Rescale == nil {
		return begun, err
	}
	quiescing()
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(rescaleEvery):
		}
		d, err := c.Describe(ctx, name)
		if err != nil {
			return nil, err
		}
		switch r := &d.Record; {
		case r.Rescale != nil:
		case r.Instance == begun.Rescale.Instance:
			return r, nil
		case r.Instance != begun.Instance:
			return nil, fmt.Errorf("%s was killed meanwhile, and submitted anew", name)
		default:
			return nil, &cluster.RequestError{Code: cluster.CodeConflict, Text: name + " goes on as it was: " + r.Reason}
		}
	}
}
