package cluster

import (
	"fmt"
	"maps"

	"github.com/askback/askback/msgid"
)

// A Spec is a topology program's description of its topology.
type Spec struct {
	Name      string     `json:"name"`
	Plan      uint64     `json:"plan,string"` // topology.Plan.Version, with the strategy's extension
	Strategy  string     `json:"strategy"`
	Settings  Settings   `json:"settings"`
	FrameSize int        `json:"frame_size,omitempty"` // bytes; 0 is the default
	Operators []Operator `json:"operators"`            // in the order of the plan
	Edges     []Edge     `json:"edges"`                // in the order in which the plan numbers their channels
}

// An Operator is one operator of a Spec.
type Operator struct {
	Name     string   `json:"name"`
	Spout    bool     `json:"spout,omitempty"`
	System   bool     `json:"system,omitempty"` // the strategy's, not the user's
	Parallel int      `json:"parallel"`         // number of tasks
	Streams  []Stream `json:"streams,omitempty"`
	CPU      int64    `json:"cpu,omitempty"`    // percent of a core for each task; 0 is undeclared
	Memory   int64    `json:"memory,omitempty"` // bytes for each task; 0 is undeclared
	Log      bool     `json:"log,omitempty"`    // its tasks keep a log
}

// A Stream is one output stream of an operator.
type Stream struct {
	Name   string   `json:"name,omitempty"` // "" is the default stream
	Fields []string `json:"fields"`
}

// An Edge is one subscription. Its channels are numbered from First on: source by source, target by target.
type Edge struct {
	From     string `json:"from"`
	Stream   string `json:"stream,omitempty"`
	To       string `json:"to"`
	Grouping string `json:"grouping"` // in the words of package topology
	Targets  int    `json:"targets"`  // number of tasks of To that it can send to
	First    uint32 `json:"first"`
}

// The groupings on which nimbus decides, in the words of package topology.
const (
	GroupingAll            = "all"
	GroupingDirect         = "direct"
	GroupingLocalOrShuffle = "local or shuffle"
)

// Tasks returns all tasks in the order of the plan.
func (s *Spec) Tasks() (all []msgid.Alias) {
	for _, o := range s.Operators {
		for i := range o.Parallel {
			all = append(all, msgid.Alias{Operator: o.Name, Index: i})
		}
	}
	return all
}

// Operator returns the operator of that name, or nil.
func (s *Spec) Operator(name string) *Operator {
	for i := range s.Operators {
		if s.Operators[i].Name == name {
			return &s.Operators[i]
		}
	}
	return nil
}

// Parallelism returns the numbers of tasks by operator, with those of changed in place of its own.
func (s *Spec) Parallelism(changed map[string]int) map[string]int {
	all := map[string]int{}
	for _, o := range s.Operators {
		all[o.Name] = o.Parallel
	}
	maps.Copy(all, changed)
	return all
}

// SameProgram reports whether two specs are of the same program, with any numbers of tasks.
func (s *Spec) SameProgram(other *Spec) bool {
	if s.Name != other.Name || s.Strategy != other.Strategy || s.Settings != other.Settings || s.FrameSize != other.FrameSize ||
		len(s.Operators) != len(other.Operators) || len(s.Edges) != len(other.Edges) {
		return false
	}
	for i, o := range s.Operators {
		if p := other.Operators[i]; o.Name != p.Name || o.Spout != p.Spout || o.System != p.System || o.Log != p.Log {
			return false
		}
	}
	return true
}

// maxTasks bounds the number of tasks of a Spec.
const maxTasks = 100_000

// Check returns an error that names the rule which an invalid Spec breaks.
func (s *Spec) Check() error {
	if err := CheckName("topology", s.Name, MaxName); err != nil {
		return err
	}
	if len(s.Operators) == 0 {
		return fmt.Errorf("cluster: topology %s has no operators", s.Name)
	}
	seen, tasks := map[string]int{}, 0
	for _, o := range s.Operators {
		if err := CheckName("operator", o.Name, msgid.MaxName); err != nil {
			return err
		}
		if tasks += o.Parallel; o.Parallel < 1 || tasks > maxTasks {
			return fmt.Errorf("cluster: operator %s has %d tasks: want at least 1, and at most %d in all", o.Name, o.Parallel, maxTasks)
		}
		if _, twice := seen[o.Name]; twice {
			return fmt.Errorf("cluster: operator %s is listed twice", o.Name)
		}
		if o.CPU < 0 || o.Memory < 0 {
			return fmt.Errorf("cluster: operator %s needs %d %% of a core and %d bytes: want 0 or more", o.Name, o.CPU, o.Memory)
		}
		seen[o.Name] = o.Parallel
	}
	for _, e := range s.Edges {
		if seen[e.From] == 0 || e.Targets < 1 || e.Targets > seen[e.To] {
			return fmt.Errorf("cluster: the edge %s to %s joins tasks that do not exist", e.From, e.To)
		}
	}
	return nil
}

// CheckParallelism returns an error unless each of the numbers of tasks is valid.
func CheckParallelism(parallel map[string]int) error {
	for name, tasks := range parallel {
		if err := CheckName("operator", name, msgid.MaxName); err != nil {
			return err
		}
		if tasks < 1 || tasks > maxTasks {
			return fmt.Errorf("cluster: %d tasks of operator %s: want 1 to %d", tasks, name, maxTasks)
		}
	}
	return nil
}
