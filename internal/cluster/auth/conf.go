package auth

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/askback/askback/internal/cluster/natscluster"
)

// conf returns the configuration of one NATS server. Everything that varies in it has been checked to hold no quote and
// no line break.
func conf(o *Options, n int, k keys, t tokens) string {
	s, name := o.Servers[n], serverName(n)
	host := s.Hosts[0]
	b := &strings.Builder{}
	line := func(format string, args ...any) { fmt.Fprintf(b, format+"\n", args...) }
	line("# NATS server %s of the Askback cluster %s, made by \"askback auth init\".", name, o.Prefix)
	line("# Start it with: askback server --config %s.conf  (or nats-server -c %s.conf)", name, name)
	line("server_name: %q", name)
	line("listen: %q", listen(host, s.Port))
	line("client_advertise: %q", address(host, s.Port))
	line("max_payload: %d  # bytes: the longest message", o.MaxPayload)
	line("max_control_line: 1MB  # a worker's credentials name each of its tasks")
	line("")
	line("tls {")
	line("  cert_file: %q", filepath.Join(o.Installed, name+".pem"))
	line("  key_file: %q", filepath.Join(o.Installed, name+".key"))
	line("  min_version: \"1.2\"")
	line("  timeout: 5  # seconds")
	line("}")
	line("")
	line("# JWTs that the account signs allow users to connect; the account's own keys are listed here.")
	line("operator: %q", t.operator)
	line("system_account: %q", k.system.public)
	line("resolver: MEMORY")
	line("resolver_preload: {")
	line("  %s: %q", k.system.public, t.system)
	line("  %s: %q", k.account.public, t.account)
	line("  %s: %q", k.workers.public, t.workers)
	line("}")
	line("")
	line("jetstream {")
	line("  store_dir: %q", filepath.Join(o.StoreDir, name))
	if o.SyncAlways {
		line("  sync_interval: always  # nothing acknowledged is lost in a power cut: durability power")
	} else {
		line("  sync_interval: %q  # a power cut loses newer writes: durability process", o.SyncInterval.String())
	}
	line("}")
	if len(o.Servers) == 1 {
		return b.String()
	}
	line("")
	line("cluster {")
	line("  name: %q", o.Prefix)
	line("  listen: %q", listen(host, s.RoutePort))
	line("  cluster_advertise: %q", address(host, s.RoutePort))
	line("  tls {")
	line("    cert_file: %q", filepath.Join(o.Installed, name+"-route.pem"))
	line("    key_file: %q", filepath.Join(o.Installed, name+"-route.key"))
	line("    ca_file: %q", filepath.Join(o.Installed, "ca.pem"))
	line("    verify: true")
	line("    timeout: 5  # seconds")
	line("  }")
	line("  routes: [")
	for _, other := range o.Servers {
		line("    %q", "nats-route://"+address(other.Hosts[0], other.RoutePort))
	}
	line("  ]")
	line("}")
	return b.String()
}

func serverName(n int) string { return "server-" + strconv.Itoa(n+1) }

// listen returns where a server listens. One that others reach by loopback does not listen to the network.
func listen(host string, port int) string {
	if !natscluster.Loopback(host) {
		host = "0.0.0.0"
		if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
			host = "::"
		}
	}
	return address(host, port)
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }

// urls returns where clients connect.
func urls(servers []Server) string {
	var all []string
	for _, s := range servers {
		all = append(all, "tls://"+address(s.Hosts[0], s.Port))
	}
	return strings.Join(all, ",")
}
