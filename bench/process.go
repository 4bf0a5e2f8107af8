package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"time"

	"github.com/askback/askback/internal/channel/natschan/embed"
)

// A process is a child of this one. It ends when its standard input does, so that it never outlives us.
type process struct {
	cmd      *exec.Cmd
	input    io.WriteCloser
	messages chan message // closed when it has ended
	said     tail
	gone     chan struct{}
	err      error // of Wait
}

func launch(argv []string) (p *process, out io.ReadCloser, err error) {
	p = &process{cmd: exec.Command(argv[0], argv[1:]...), gone: make(chan struct{})}
	p.cmd.Stderr = &p.said
	if p.input, err = p.cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	if out, err = p.cmd.StdoutPipe(); err != nil {
		return nil, nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start a process for the measurement: %w", err)
	}
	return p, out, nil
}

// start starts a process that measures.
func (c *Comparison) start(s *Spec) (*process, error) {
	p, out, err := launch(c.Measurer)
	if err != nil {
		return nil, err
	}
	p.messages = make(chan message, 1000)
	go func() { // it ends with the process
		defer close(p.gone)
		defer close(p.messages)
		for d := json.NewDecoder(bufio.NewReaderSize(out, 1<<20)); ; {
			var m message
			if d.Decode(&m) != nil {
				break
			}
			p.messages <- m
		}
		p.err = p.cmd.Wait()
	}()
	if err := json.NewEncoder(p.input).Encode(s); err != nil {
		p.stop()
		return nil, fmt.Errorf("start a process for the measurement: %w: %s", err, p.said.last())
	}
	return p, nil
}

// serve starts a process that is a NATS server, and returns its URL.
func (c *Comparison) serve(dir, listen string) (*process, string, error) {
	p, out, err := launch(append(append([]string{}, c.Server...), dir, listen))
	if err != nil {
		return nil, "", err
	}
	lines := bufio.NewScanner(out)
	ok := lines.Scan()
	go func() {
		defer close(p.gone)
		_, _ = io.Copy(io.Discard, out)
		p.err = p.cmd.Wait()
	}()
	if !ok {
		<-p.gone
		return nil, "", fmt.Errorf("the NATS server did not start: %s", p.said.last())
	}
	return p, lines.Text(), nil
}

// interrupt asks a process to end with what it has.
func (p *process) interrupt() { _ = p.input.Close() }

// kill is kill -9. A process that measures counts as gone when its messages are read.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	if p.messages == nil {
		<-p.gone
	}
}

// stop ends a process in any case. There may be none.
func (p *process) stop() {
	if p == nil {
		return
	}
	p.interrupt()
	late := time.After(time.Second)
	for messages := p.messages; ; {
		select {
		case <-p.gone:
			return
		case _, ok := <-messages: // they are not needed any more
			if !ok {
				messages = nil
			}
		case <-late:
			_ = p.cmd.Process.Kill()
		}
	}
}

// ended returns the error of a process that has ended.
func (p *process) ended(finished bool) error {
	<-p.gone
	if finished {
		return nil
	}
	if said := p.said.last(); said != "" {
		return errors.New(said)
	}
	return fmt.Errorf("the measuring process ended early: %v", p.err)
}

// A tail keeps the last of what is written to it.
type tail struct{ b []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-8<<10):]
	return len(b), nil
}

func (t *tail) last() string {
	lines := strings.Split(strings.TrimSpace(string(t.b)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], "; ")
}

// Measured is the whole of a process that measures: it reads what to do, and measures until that is done or its
// standard input ends. Ctrl-C is for the process that has started it.
func Measured(in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt)
	d := json.NewDecoder(in)
	s := new(Spec)
	if err := d.Decode(s); err != nil {
		return fmt.Errorf("bench: this process is started by askback bench: %w", err)
	}
	return Measure(untilEnd(in), s, out)
}

// ServeNATS is the whole of a process that is a NATS server: it prints its URL, and ends when its standard input
// does.
func ServeNATS(dir, listen string, in io.Reader, out io.Writer) error {
	signal.Ignore(os.Interrupt)
	s, err := embed.Start(embed.Options{Dir: dir, Listen: listen, SyncInterval: 5 * time.Second})
	if err != nil {
		return err
	}
	fmt.Fprintln(out, s.URL())
	<-untilEnd(in).Done()
	return s.Stop()
}

// untilEnd returns a context that ends with a reader.
func untilEnd(in io.Reader) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()
	return ctx
}
