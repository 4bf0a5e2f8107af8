package journal

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"time"
)

// ServerOptions are those of NewServer.
type ServerOptions struct {
	// Addr is where to listen, "127.0.0.1:8080". Port 0 takes a free one; see Server.Addr. Anything but the loopback
	// interface needs a Token and TLS.
	Addr string
	// Token must be shown by senders: "Authorization: Bearer TOKEN". "" lets everyone in. At least 16 characters.
	Token string
	// TLS has the server's certificate; nil is plain HTTP.
	TLS *tls.Config
}

// ErrExposed is returned by NewServer for an address that others can reach, without a token or TLS.
var ErrExposed = errors.New("journal: listening beyond the loopback interface needs a token and TLS")

// minToken is the shortest token that is not guessed.
const minToken = 16

// A Server is an HTTP server for a journal.
type Server struct {
	http     http.Server
	listener net.Listener
}

// NewServer listens, and refuses to do so carelessly. Serve must follow: it takes the requests.
func NewServer(j *Journal, opt ServerOptions) (*Server, error) {
	if opt.Token != "" && len(opt.Token) < minToken {
		return nil, fmt.Errorf("journal: the token has fewer than %d characters", minToken)
	}
	listener, err := net.Listen("tcp", opt.Addr)
	if err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	// The address is judged after listening: a name may stand for any.
	addr, ok := listener.Addr().(*net.TCPAddr)
	if loopback := ok && addr.IP.IsLoopback(); !loopback && (opt.Token == "" || opt.TLS == nil) {
		_ = listener.Close()
		return nil, fmt.Errorf("%w: %s", ErrExposed, listener.Addr())
	}
	if opt.TLS != nil {
		listener = tls.NewListener(listener, opt.TLS)
	}
	return &Server{
		listener: listener,
		http: http.Server{
			Handler: j.guard(opt.Token, j.Handler()),
			// A sender that dawdles holds room that others need.
			ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: 30*time.Second + 2*j.opt.Timeout,
			IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
			ErrorLog: log.New(io.Discard, "", 0), // of senders' handshakes and the like
		},
	}, nil
}

// Addr returns where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// shutdownTimeout is how long requests may take that have begun when the server is ordered to end.
const shutdownTimeout = 10 * time.Second

// Serve takes requests until ctx ends, and returns when those that have begun are answered. The error is nil then.
func (s *Server) Serve(ctx context.Context) error {
	ended := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		// The end of ctx is why we are here, so it cannot bound this.
		timeout, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
		defer cancel()
		err := s.http.Shutdown(timeout)
		if err != nil {
			_ = s.http.Close()
		}
		ended <- err
	})
	err := s.http.Serve(s.listener)
	if stop() { // it ended by itself
		return fmt.Errorf("journal: serve: %w", err)
	}
	if err := <-ended; err != nil {
		return fmt.Errorf("journal: requests did not end within %v: %w", shutdownTimeout, err)
	}
	return nil
}

// guard passes requests with the token, and none of a web page.
func (j *Journal) guard(token string, next http.Handler) http.Handler {
	want := sha256.Sum256([]byte(token))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// A page in the browser of someone on this machine could otherwise post to a server that listens here only.
		if r.Header.Get("Origin") != "" {
			j.refuse(w, &requestError{http.StatusForbidden, "requests from web pages are not taken"})
			return
		}
		if token != "" {
			scheme, shown, _ := strings.Cut(r.Header.Get("Authorization"), " ")
			got := sha256.Sum256([]byte(shown)) // of one length, so that comparing reveals nothing
			if !strings.EqualFold(scheme, "Bearer") || subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
				w.Header().Set("WWW-Authenticate", `Bearer realm="journal"`)
				j.refuse(w, &requestError{http.StatusUnauthorized, "the bearer token is missing or wrong"})
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}
