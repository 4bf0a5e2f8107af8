//go:build unix

package natstest

import "syscall"

// Pause stops the server where it stands, and returns when nothing in it moves any more. Kill ends it.
func (s *Server) Pause() {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	var status syscall.WaitStatus
	for !status.Stopped() {
		// A signal only begins to stop a process of several threads.
		if _, err := syscall.Wait4(s.cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil && err != syscall.EINTR {
			s.t.Fatal(err)
		}
	}
}
