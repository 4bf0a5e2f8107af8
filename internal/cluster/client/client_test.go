package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"github.com/askback/askback/internal/channel/natschan/embed"
	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/client"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// TestMain lets the test binary be the programs that are submitted.
func TestMain(m *testing.M) {
	if os.Getenv(cluster.RoleVariable) == "" {
		os.Exit(m.Run())
	}
	switch os.Args[1] {
	case "chatty":
		fmt.Println("here I am")
		spec := cluster.Spec{Name: "words", Plan: 7, Strategy: "backtrack", Operators: []cluster.Operator{{Name: "a", Parallel: 2}}}
		text, _ := json.Marshal(spec)
		fmt.Println(string(text))
	case "other":
		fmt.Println("hello world")
	case "empty":
		fmt.Println("{}")
	case "failing":
		fmt.Fprintln(os.Stderr, "first\nno such file")
		os.Exit(3)
	case "hanging":
		time.Sleep(time.Hour)
	}
}

// Only a program that describes its topology can be submitted.
func TestSpecOf(t *testing.T) {
	self := os.Args[0]
	spec, err := client.SpecOf(t.Context(), self, []string{"chatty"})
	if err != nil || spec.Name != "words" || spec.Plan != 7 || len(spec.Tasks()) != 2 {
		t.Errorf("%+v, %v", spec, err)
	}
	soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := client.SpecOf(soon, self, []string{"hanging"}); !errors.Is(err, client.ErrNoTopology) {
		t.Errorf("it hangs: %v", err)
	}
	for name, text := range map[string]string{"other": "no description", "empty": "topology", "failing": "no such file"} {
		if _, err := client.SpecOf(t.Context(), self, []string{name}); err == nil || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: want an error with %q: %v", name, text, err)
		}
	}
	if _, err := client.SpecOf(t.Context(), "sh", nil); err == nil { // a file here, and not one of PATH
		t.Error("sh is taken for a program")
	}
}

// A refusal of nimbus is passed on with its code and text; the error names a missing nimbus.
func TestSubmitRefused(t *testing.T) {
	server, err := embed.Start(embed.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Stop() }()
	conn := &natscluster.Connection{Servers: server.URL()}
	nc, err := conn.Connect("test", &natscluster.User{})
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	what := client.Submission{Path: os.Args[0], Args: []string{"chatty"}, Timeout: 300 * time.Millisecond}
	if _, err := client.Submit(t.Context(), conn, what); err == nil || !strings.Contains(err.Error(), "nimbus") {
		t.Errorf("no nimbus has ever run: %v", err)
	}
	if err := natscluster.Setup(t.Context(), nc, conn.Subjects(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Submit(t.Context(), conn, what); !errors.Is(err, cluster.ErrNoNimbus) {
		t.Errorf("no nimbus runs: %v", err)
	}
	_, err = nc.Subscribe(conn.Subjects().API(cluster.Operate, cluster.VerbSubmit), func(m *nats.Msg) {
		_ = m.RespondMsg(&nats.Msg{Header: nats.Header{micro.ErrorHeader: {"exists: words"}, micro.ErrorCodeHeader: {string(cluster.CodeConflict)}}})
	})
	if err != nil {
		t.Fatal(err)
	}
	var refused *cluster.RequestError
	if _, err := client.Submit(t.Context(), conn, what); !errors.As(err, &refused) || refused.Code != cluster.CodeConflict || !strings.Contains(err.Error(), "exists: words") {
		t.Errorf("%v", err)
	}
	what.Name = "../x"
	if _, err := client.Submit(t.Context(), conn, what); !errors.Is(err, cluster.ErrName) {
		t.Errorf("%v", err)
	}
}

// The environment holds the settings of the connection.
func TestFromEnvironment(t *testing.T) {
	creds := filepath.Join(t.TempDir(), "me.creds")
	t.Setenv(client.ServerVariable, "nats://127.0.0.1:7")
	t.Setenv(client.CredsVariable, creds)
	t.Setenv(client.CAVariable, "ca.pem")
	t.Setenv(client.PrefixVariable, "test")
	if c := client.FromEnvironment(); c.Servers != "nats://127.0.0.1:7" || c.Creds != creds || c.CA != "ca.pem" || c.Subjects() != "test" {
		t.Errorf("%+v", c)
	}
}
