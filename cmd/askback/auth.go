package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/auth"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/settings"
)

func authCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "auth", Short: "Make keys, credentials and certificates for a cluster", GroupID: groupCluster,
		Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(authInitCommand(), authAddCommand(), authRenewCommand())
	return cmd
}

func authInitCommand() *cobra.Command {
	var o auth.Options
	var servers []string
	var payload settings.Bytes = 1 << 20
	var json bool
	cmd := &cobra.Command{
		Use: "init DIR", Short: "Make everything that a secured cluster needs, in a new directory",
		Long: `Init makes in one go the keys of a cluster, credentials for nimbus, for each supervisor and for people (view, operate,
admin), an authority with certificates for each NATS server, and their configurations. It says what each file is for,
who gets it, and what must be kept where no server can read it. Nothing is ever overwritten.

A server is a host, host:port or host:port:routeport; several names of one host are joined by "+". Take three, so that
one may fail.`,
		Example: `  askback auth init keys --servers n1.example.org,n2.example.org,n3.example.org --supervisors host-1,host-2
  askback auth init keys --servers 127.0.0.1:4222:6222,127.0.0.1:4223:6223,127.0.0.1:4224:6224 --supervisors a,b,c`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, text := range servers {
				server, err := auth.ParseServer(text)
				if err != nil {
					return usage(err)
				}
				o.Servers = append(o.Servers, server)
			}
			o.MaxPayload = int(payload)
			made, err := auth.Init(args[0], o)
			if err != nil {
				return err
			}
			s := &session{json: json, out: cmd.OutOrStdout()}
			return s.print(summaryJSON(made), func() error {
				_, err := fmt.Fprint(s.out, made)
				return err
			})
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringSliceVar(&servers, "servers", []string{"127.0.0.1"}, "where the NATS servers are")
	flags.StringSliceVar(&o.Supervisors, "supervisors", nil, "names of the supervisors")
	flags.StringVar(&o.Prefix, "prefix", natscluster.DefaultPrefix, "the beginning of all subjects, streams and buckets of the cluster")
	flags.DurationVar(&o.Validity, "validity", 365*24*time.Hour, `how long the servers' certificates hold; "askback auth renew" makes new ones`)
	flags.Var(&payload, "max-payload", "the longest message that the servers take")
	flags.BoolVar(&o.SyncAlways, "sync-always", false, "survive power cuts: servers sync to the disk before they acknowledge; start nimbus with --durability power")
	flags.StringVar(&o.Installed, "installed", "", "directory in which each server's files will lie on its host (default: DIR)")
	flags.StringVar(&o.StoreDir, "store", "", `directory in which servers keep their streams (default: "store" in --installed)`)
	flags.BoolVar(&json, "json", false, "print JSON")
	return cmd
}

// summaryJSON is the list of files made, for programs.
func summaryJSON(s *auth.Summary) any {
	type file struct {
		Path    string `json:"path"`
		What    string `json:"what"`
		Offline bool   `json:"offline"`
	}
	made := struct {
		Dir     string `json:"dir"`
		Servers string `json:"servers"`
		Files   []file `json:"files"`
	}{Dir: s.Dir, Servers: s.Servers}
	for _, f := range s.Files {
		made.Files = append(made.Files, file{f.Path, f.What, f.Offline})
	}
	return made
}

func authAddCommand() *cobra.Command {
	var prefix, role string
	cmd := &cobra.Command{
		Use: "add DIR NAME", Short: "Make credentials for one more supervisor or user",
		Long:    `Add makes credentials in the directory that init has made, with the account's key in its directory offline.`,
		Example: "  askback auth add keys host-3\n  askback auth add keys alice --role operate",
		Args:    exactly(2),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			var made auth.File
			if role == "supervisor" {
				made, err = auth.AddSupervisor(args[0], natscluster.Subjects(prefix), args[1])
			} else {
				var r cluster.Role
				if r, err = cluster.ParseRole(role); err != nil {
					return usage(fmt.Errorf("--role: want supervisor, view, operate or admin, not %.40q", role))
				}
				made, err = auth.AddUser(args[0], natscluster.Subjects(prefix), args[1], r)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", made.Path, made.What)
			return err
		},
	}
	cmd.Flags().StringVar(&role, "role", "supervisor", "the kind of name: supervisor, or a user of role view, operate or admin")
	cmd.Flags().StringVar(&prefix, "prefix", natscluster.DefaultPrefix, "the prefix of the cluster")
	return cmd
}

func authRenewCommand() *cobra.Command {
	var validity time.Duration
	cmd := &cobra.Command{
		Use: "renew DIR", Short: "Make new certificates for the NATS servers, by the same authority",
		Long: `Renew replaces the servers' certificates and their keys. Put them where the servers have theirs, and send each server
SIGHUP: connections stay up.`,
		Args: exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			files, err := auth.Renew(args[0], validity)
			if err == nil {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), "renewed: "+strings.Join(files, ", "))
			}
			return err
		},
	}
	cmd.Flags().DurationVar(&validity, "validity", 365*24*time.Hour, "how long they hold")
	return cmd
}
