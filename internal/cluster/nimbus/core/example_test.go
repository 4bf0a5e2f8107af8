package core_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/nimbus/core"
)

func Example() {
	now := time.Now()
	c := core.New(core.Config{})
	c.Load(now, nil, []cluster.Host{{Name: "host-1", Slots: 2}}) // prints the records to be written: one supervisor, no topology
	c.HostHeartbeat(now, &cluster.HostHeartbeat{Name: "host-1"})

	submission, _, _, err := c.Admit(&cluster.SubmitRequest{
		Spec:     cluster.Spec{Name: "words", Operators: []cluster.Operator{{Name: "lines", Spout: true, Parallel: 3}}},
		Artefact: cluster.Artefact{SHA256: strings.Repeat("0a", 32), Size: 1},
		Workers:  2, Nonce: "n",
	})
	if err != nil {
		panic(err)
	}
	revision := uint64(1)
	accepted, _ := c.Accept(now, submission, "anna", "process")
	c.Stored(now, accepted, revision)

	for writes := c.Decide(now); len(writes) > 0; writes = c.Decide(now) {
		for i := range writes {
			revision++ // the caller puts it into the bucket
			c.Stored(now, &writes[i], revision)
			for _, e := range writes[i].Events {
				fmt.Println(e.Kind, e.Text)
			}
		}
	}
	// Output: assigned placed in host-1/0 (1 tasks) host-1/1 (2 tasks)
}
