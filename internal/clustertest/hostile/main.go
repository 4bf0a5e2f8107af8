// Hostile is a topology program that harms: a cluster's tests submit it, and use its tools to look for what it has
// achieved.
//
//	hostile -mode hungry -while FILE -out FILE    a bolt takes far more memory than it said, while FILE exists
//	hostile -mode forks -mark N                   SIGTERM is ignored, and children are forked: sleep N
//	hostile -mode spy -victim INSTANCE …          everything is tried that its worker's credentials might allow
//
// The tools are in tools.go. It is for tests only: none of it belongs on a cluster of yours.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/askback/askback"
	"github.com/askback/askback/bolt"
	"github.com/askback/askback/connect/files"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/spout"
	"github.com/askback/askback/topology"
	"github.com/askback/askback/tuple"
)

// rows is how many tuples there are.
const rows = 20_000

var (
	mode   = flag.String("mode", "", "the attack or tool to run")
	during = flag.String("while", "", "hungry: a file; the mode runs while it is there")
	out    = flag.String("out", "", "file to write to")
	mark   = flag.String("mark", "", "forks: how long the children sleep, by which they are found")
	victim = flag.String("victim", "", "spy: the instance that is attacked")
	target = flag.String("target", "", "spy: a worker slot of the victim, SUPERVISOR.SLOT")
	server = flag.String("server", "", "tools: URLs of NATS servers")
	creds  = flag.String("creds", "", "tools: credentials")
	ca     = flag.String("ca", "", "tools: the authority's certificate")
)

func main() {
	flag.Parse()
	b := topology.New("hostile")
	numbers := spout.Generate(rows, func(i int64, out spout.Emitter) error { return out.Row().Int(i).Emit() }).Rate(2000)
	b.Spout("numbers", numbers).Fields("n")
	harm := bolt.Func(pass)
	switch *mode {
	case "hungry":
		harm = bolt.Func(eat)
	case "forks":
		harm = func() bolt.Bolt { return forks{} }
	case "spy":
		if os.Getenv(cluster.RoleVariable) == "worker" {
			if err := spy(); err != nil {
				fmt.Fprintln(os.Stderr, "spy:", err)
			}
		}
	default:
		if err := tool(); err != nil {
			fmt.Fprintln(os.Stderr, "hostile:", err)
			os.Exit(1)
		}
		return
	}
	b.Bolt("harm", harm).Shuffle("numbers").Fields("n").Memory(32 << 20)
	b.Bolt("result", files.Bolt(*out+".result", files.Single())).Global("harm")
	askback.RunIfWorker(b)
	fmt.Fprintln(os.Stderr, "hostile: it is for clusters only")
	os.Exit(2)
}

func pass(_ context.Context, t tuple.Tuple, out bolt.Emitter) error {
	return out.Row().Int(t.Int(0)).Emit()
}
