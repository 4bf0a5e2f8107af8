// Package checkpointtest holds the conformance suite of task logs. Every implementation of checkpoint.Log runs it:
//
//	func TestConformance(t *testing.T) {
//		checkpointtest.Run(t, func(t testing.TB) checkpointtest.Subject {
//			return checkpointtest.Subject{Log: mylog.New()}
//		})
//	}
//
// The first half checks the contract of Log itself, the second runs a checkpoint.Writer over it while answers are lost,
// appends come late and entries read as damaged (see Flaky).
package checkpointtest
