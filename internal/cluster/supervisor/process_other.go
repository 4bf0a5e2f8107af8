//go:build !linux

package supervisor

import (
	"os"
	"syscall"
)

// This file lets the package be compiled elsewhere: New refuses to work.

type program struct {
	path   string
	args   []string
	env    []string
	dir    string
	output *os.File
	launch []byte
	owner  *owner
}

type process struct {
	pid  int
	born uint64
}

type strays struct{}

func (strays) kill() {}

func checkSystem() error { return ErrSystem }

func start(*program) (*process, error)       { return nil, ErrSystem }
func find(int, uint64) (*process, error)     { return nil, ErrSystem }
func (p *process) close()                    {}
func (p *process) wait() (exit, bool)        { return exit{}, false }
func (p *process) signal(syscall.Signal)     {}
func (p *process) kill()                     {}
func (p *process) stopped() bool             { return false }
func (p *process) strays() strays            { return strays{} }
func bootID() string                         { return "" }
func limitMemory(int, int64, *owner) error   { return ErrSystem }
func isCgroup2(path string) bool             { return false }
func lockFile(path string) (*os.File, error) { return nil, ErrSystem }
