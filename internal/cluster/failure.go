package cluster

import "github.com/askback/askback/msgid"

// A Failure is the error with which a task has failed for good: bolt.TupleError in the form that records and heartbeats
// carry. Its texts are shortened.
type Failure struct {
	Task      msgid.Alias `json:"task"`                 // Task.Operator is the operator
	Step      string      `json:"step,omitempty"`       // of a fused operator
	MessageID string      `json:"message_id,omitempty"` // of the tuple, such as split.0>count.1#42; "" if no tuple is at fault
	Tuple     string      `json:"tuple,omitempty"`      // its fields, shortened
	Cause     string      `json:"cause"`
}

// LostTuples counts the tuples that an operator could not process and whose loss its program declares.
type LostTuples struct {
	Operator string `json:"operator"`
	Dead     uint64 `json:"dead"`    // emitted as dead letters
	Dropped  uint64 `json:"dropped"` // given up without a trace
}

// SumLost adds up the tuples that the operators of a topology have lost.
func SumLost(all []LostTuples) (dead, dropped uint64) {
	for _, l := range all {
		dead, dropped = dead+l.Dead, dropped+l.Dropped
	}
	return dead, dropped
}
