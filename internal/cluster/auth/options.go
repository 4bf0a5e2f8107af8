package auth

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// ErrOptions: Options that cannot be. The message names the setting and the rule.
var ErrOptions = errors.New("auth: bad setting")

// Options of Init.
type Options struct {
	// Prefix of all subjects, streams and buckets; default natscluster.DefaultPrefix.
	Prefix string
	// Servers are the NATS servers: one, or three or five, for two of three keep a cluster going. At least one.
	Servers []Server
	// Supervisors are the names of those that get credentials. More can be added: see AddSupervisor.
	Supervisors []string
	// Validity of the servers' certificates; default a year. Renew makes new ones.
	Validity time.Duration
	// MaxPayload is the longest message that servers take, in bytes; default 1 MiB, at most 64 MiB.
	MaxPayload int
	// SyncAlways makes JetStream sync to the disk before it acknowledges, so that nothing acknowledged is lost in a
	// power cut. Nimbus then needs --durability power.
	SyncAlways bool
	// SyncInterval is how often it syncs otherwise; default 2 minutes.
	SyncInterval time.Duration
	// Installed is the directory in which a server's files will lie on its host; default the directory of Init.
	Installed string
	// StoreDir is the directory in which servers keep their streams, each in one of its own name below; default
	// "store" in Installed.
	StoreDir string
}

// A Server is a NATS server.
type Server struct {
	// Hosts are the names and addresses of its host; by the first of them others reach it.
	Hosts []string
	// Port for clients and port for the other servers; by default 4222 and 6222, and one more for each further server
	// on the same host.
	Port, RoutePort int
}

// ParseServer reads "host", "host:port" or "host:port:routeport". Several names of the host are separated by "+". An
// address with colons is put into brackets.
func ParseServer(text string) (Server, error) {
	bad := fmt.Errorf("%w: server %.200q: want host, host:port or host:port:routeport, such as nats-1.example.org:4222:6222", ErrOptions, text)
	hosts, ports := text, ""
	if end := strings.LastIndexByte(text, ']'); end >= 0 {
		hosts, ports = text[:end+1], text[end+1:]
	} else if colon := strings.IndexByte(text, ':'); colon >= 0 {
		hosts, ports = text[:colon], text[colon:]
	}
	var s Server
	for host := range strings.SplitSeq(hosts, "+") {
		s.Hosts = append(s.Hosts, strings.Trim(host, "[]"))
	}
	if ports == "" {
		return s, nil
	}
	parts := strings.Split(ports, ":")
	if parts[0] != "" || len(parts) > 3 {
		return Server{}, bad
	}
	for i, to := range []*int{&s.Port, &s.RoutePort}[:len(parts)-1] {
		n, err := strconv.Atoi(parts[i+1])
		if err != nil {
			return Server{}, bad
		}
		*to = n
	}
	return s, nil
}

// Limits of Options.
const (
	maxServers  = 99
	maxPayload  = 64 << 20
	caValidity  = 10 * 365 * 24 * time.Hour
	defaultPort = 4222
	routePort   = 6222
)

// normalize applies the defaults and validates.
func (o *Options) normalize(dir string) error {
	if o.Prefix == "" {
		o.Prefix = natscluster.DefaultPrefix
	}
	if o.Validity == 0 {
		o.Validity = 365 * 24 * time.Hour
	}
	if o.MaxPayload == 0 {
		o.MaxPayload = 1 << 20
	}
	if o.SyncInterval == 0 {
		o.SyncInterval = 2 * time.Minute
	}
	if o.Installed == "" {
		o.Installed = dir
	}
	if o.StoreDir == "" {
		o.StoreDir = filepath.Join(o.Installed, "store")
	}
	if err := cluster.CheckName("prefix", o.Prefix, msgid.MaxName); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	seen := map[string]bool{}
	for _, name := range o.Supervisors {
		if err := cluster.CheckName("supervisor", name, msgid.MaxName); err != nil {
			return fmt.Errorf("%w: %w", ErrOptions, err)
		}
		if seen[name] {
			return fmt.Errorf("%w: supervisor %s is there twice: each needs credentials of its own", ErrOptions, name)
		}
		seen[name] = true
	}
	switch {
	case len(o.Servers) == 0 || len(o.Servers) > maxServers:
		return fmt.Errorf("%w: %d servers: want 1 to %d, best 3", ErrOptions, len(o.Servers), maxServers)
	case o.Validity < time.Minute || o.Validity > caValidity:
		return fmt.Errorf("%w: validity of %v: want a minute to ten years", ErrOptions, o.Validity)
	case o.MaxPayload < 64<<10 || o.MaxPayload > maxPayload:
		return fmt.Errorf("%w: max payload of %d bytes: want %d to %d", ErrOptions, o.MaxPayload, 64<<10, maxPayload)
	case o.SyncInterval < time.Millisecond:
		return fmt.Errorf("%w: sync interval of %v: want at least 1ms", ErrOptions, o.SyncInterval)
	}
	for _, path := range []string{o.Installed, o.StoreDir} {
		if !filepath.IsAbs(path) || strings.ContainsAny(path, "\"\\\r\n\x00") {
			return fmt.Errorf("%w: directory %.200q: want an absolute path without quotes, backslashes and line breaks", ErrOptions, path)
		}
	}
	return o.placeServers()
}

// placeServers checks the servers and gives each its ports.
func (o *Options) placeServers() error {
	placed := make([]Server, len(o.Servers)) // the caller's are not changed
	on, taken := map[string]int{}, map[string]bool{}
	for i, s := range o.Servers {
		if len(s.Hosts) == 0 {
			return fmt.Errorf("%w: server %d has no host", ErrOptions, i+1)
		}
		for _, host := range s.Hosts {
			if !isHost(host) {
				return fmt.Errorf("%w: host %.200q: want a DNS name or an IP address", ErrOptions, host)
			}
		}
		at := s.Hosts[0]
		if s.Port == 0 {
			s.Port = defaultPort + on[at]
		}
		if s.RoutePort == 0 {
			s.RoutePort = routePort + on[at]
		}
		on[at]++
		for _, port := range []int{s.Port, s.RoutePort} {
			address := net.JoinHostPort(at, strconv.Itoa(port))
			if port < 1 || port > 65535 || taken[address] {
				return fmt.Errorf("%w: address %s: want a port of 1 to 65535 that is not given twice", ErrOptions, address)
			}
			taken[address] = true
		}
		placed[i] = s
	}
	o.Servers = placed
	return nil
}

// isHost reports whether a name is one of a host, or an address.
func isHost(name string) bool {
	if net.ParseIP(name) != nil {
		return true
	}
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if !msgid.ValidName(label) || label[0] == '-' {
			return false
		}
	}
	return true
}
