// Package memlog is a task log in memory: the twin of natslog for tests, for the simulator, and for a local run
// that need not survive its process.
//
// It can fail in the ways of a real log: answers lost before or after the deed (Options.Fault), appends that arrive late, a
// power cut that takes the newest entries (Cut), a flipped bit (Corrupt), an entry lost (Lose), the whole log gone
// (Vanish), no room (Options.MaxBytes). It has no goroutine and no clock, so a simulation that uses it is repeatable.
package memlog
