package topology

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
)

// version hashes the plan's canonical text.
func version(p *Plan) uint64 {
	sum := sha256.Sum256([]byte(canonical(p)))
	return max(1, binary.BigEndian.Uint64(sum[:])) // 0 is "no plan"
}

// canonical writes out all that gives the bytes of messages, logs and snapshots their meaning, so that two plans with the
// same text may talk to each other and read each other's logs. Names cannot hold the separators. Retries and resources of
// tasks are left out: they may be tuned while logs live on.
func canonical(p *Plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "askback plan 1\ntopology %s\n", p.Name)
	for _, o := range p.Operators {
		fmt.Fprintf(&b, "%s %s %d %d %d\n", o.kind(), o.Name, o.Parallel, o.Pessimism, o.Tick)
		for _, s := range o.Streams {
			fmt.Fprintf(&b, "stream %s: %s\n", s.Name, strings.Join(s.Fields.Names(), " "))
		}
		for _, e := range o.Inputs {
			fmt.Fprintf(&b, "input %s: %d %v %s\n", e.Stream, e.Grouping, e.Fields, e.Name)
		}
	}
	return b.String()
}
