package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/cluster/natscluster"
)

func serverCommand() *cobra.Command {
	var config, listen, dir string
	cmd := &cobra.Command{
		Use: "server", Short: "Run a NATS server with JetStream", GroupID: groupCluster, Args: exactly(0),
		Long: `Server runs a NATS server with JetStream, until SIGTERM or Ctrl-C.

Without --config it is one for development: it listens on this machine only, any user of this machine may do everything,
and its store is deleted at the end unless --dir names a place for it.

With --config it is what nats-server is with that file, for production too: "askback auth init" makes one for each server
of a cluster. SIGHUP makes it read the file and the certificates again. It does not listen to the network without TLS
and authorization.`,
		Example: `  askback server
  askback server --dir ./nats
  askback server --config keys/server-1.conf`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return developmentServer(cmd.Context(), listen, dir, cmd.OutOrStdout())
			}
			if cmd.Flags().Changed("listen") || cmd.Flags().Changed("dir") {
				return usage(errors.New("--config sets the address and the store: leave out --listen and --dir"))
			}
			return configuredServer(cmd.Context(), config, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&config, "config", "", "configuration file of nats-server")
	flags.StringVar(&listen, "listen", "127.0.0.1:4222", "address for clients, on loopback; port 0 is a free one")
	flags.StringVar(&dir, "dir", "", "directory that keeps the store (default: a temporary one)")
	return cmd
}

// errOpenServer: a server would listen to the network, and any host could use it.
var errOpenServer = errors.New("a server that is reached from outside needs TLS and authorization: \"askback auth init\" makes a configuration for --config that has both")

// developmentServer runs an open server on this machine until ctx ends.
func developmentServer(ctx context.Context, listen, dir string, out io.Writer) error {
	s, err := startServer(listen, dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "NATS with JetStream on %s, store in %s\n", s.URL(), s.Dir())
	if dir == "" {
		fmt.Fprintln(out, "the store is deleted at the end; --dir keeps one")
	}
	<-ctx.Done()
	return s.Stop()
}

// startServer starts an open server on this machine.
func startServer(listen, dir string) (*embed.Server, error) {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, usage(fmt.Errorf("--listen %.100q: want host:port, such as 127.0.0.1:4222", listen))
	}
	if !natscluster.Loopback(host) {
		return nil, usage(fmt.Errorf("--listen %.100s: %w", listen, errOpenServer))
	}
	s, err := embed.Start(embed.Options{Dir: dir, Listen: listen})
	if errors.Is(err, embed.ErrListen) {
		err = fmt.Errorf("%w; is one running already? --listen 127.0.0.1:0 takes a free port", err)
	}
	return s, err
}

// serverTimeout is how long a server may take to be ready: it reads its store first.
const serverTimeout = time.Minute

// configuredServer runs nats-server with a file until ctx ends.
func configuredServer(ctx context.Context, config string, out io.Writer) error {
	o, err := server.ProcessConfigFile(config)
	if err != nil {
		return fmt.Errorf("configuration of the NATS server: %w", err)
	}
	if err := checkServer(o); err != nil {
		return fmt.Errorf("%s: %w", config, err)
	}
	o.NoSigs = true // they are ours
	s, err := server.NewServer(o)
	if err != nil {
		return fmt.Errorf("NATS server: %w", err)
	}
	s.ConfigureLogger()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	s.Start()
	defer func() { s.Shutdown(); s.WaitForShutdown() }()
	if !s.ReadyForConnections(serverTimeout) {
		return fmt.Errorf("the NATS server was not ready within %v: the reason is in its log", serverTimeout)
	}
	fmt.Fprintf(out, "NATS server %s on %s\n", s.Name(), s.Addr())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hup:
			if err := s.Reload(); err != nil {
				s.Errorf("SIGHUP: the changes are not in force: %v", err)
			}
		}
	}
}

// checkServer refuses a configuration with which strangers could use the server.
func checkServer(o *server.Options) error {
	authorized := len(o.TrustedOperators) > 0 || len(o.TrustedKeys) > 0 || len(o.Users) > 0 || len(o.Nkeys) > 0 || o.Username != "" ||
		o.Authorization != "" || o.AuthCallout != nil
	switch {
	case !o.JetStream:
		return errors.New("JetStream is off: logs, assignments and artefacts are kept in it")
	case !natscluster.Loopback(o.Host) && (o.TLSConfig == nil || !authorized):
		return fmt.Errorf("it listens on %s: %w", o.Host, errOpenServer)
	case o.Cluster.Port != 0 && !natscluster.Loopback(o.Cluster.Host) && o.Cluster.TLSConfig == nil:
		return fmt.Errorf("the other servers reach it on %s without TLS: %w", o.Cluster.Host, errOpenServer)
	}
	return nil
}
