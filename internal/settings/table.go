package settings

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// A Setting is one thing that can be set. Its default is what its variable holds when it is added.
type Setting struct {
	Name      string // "stop-wait"
	About     string // its meaning, in one line
	Unit      string // the form of a value; "" is that of the variable's type
	Otherwise string // the default in words, where it is not a constant
}

// Variable returns the name of the environment variable.
func (s *Setting) Variable() string {
	return "ASKBACK_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// A Table is the settings of one program.
type Table struct {
	program string
	all     []*Setting
	flags   *pflag.FlagSet
	file    string
	environ func(string) (string, bool)
}

// New returns an empty table of the program of that name.
func New(program string) *Table {
	t := &Table{program: program, flags: pflag.NewFlagSet(program, pflag.ContinueOnError), environ: os.LookupEnv}
	t.flags.SortFlags = false
	return t
}

// Program returns the program's name.
func (t *Table) Program() string { return t.program }

// Settings returns all settings, in the order in which they were added.
func (t *Table) Settings() []*Setting { return t.all }

// Add adds a setting, whose value goes to a *string, *bool, *int, *time.Duration, *[]string or *Bytes.
func (t *Table) Add(variable any, s Setting) {
	usage := s.About
	if s.Otherwise != "" {
		usage += " (default: " + s.Otherwise + ")"
	}
	unit := ""
	switch v := variable.(type) {
	case *string:
		t.flags.StringVar(v, s.Name, *v, usage)
		unit = "text"
	case *bool:
		t.flags.BoolVar(v, s.Name, *v, usage)
		unit = "true or false"
	case *int:
		t.flags.IntVar(v, s.Name, *v, usage)
		unit = "whole number"
	case *time.Duration:
		t.flags.DurationVar(v, s.Name, *v, usage)
		unit = "duration, such as 500ms, 3s or 24h"
	case *[]string:
		t.flags.StringSliceVar(v, s.Name, *v, usage)
		unit = "list, separated by commas"
	case *Bytes:
		t.flags.Var(v, s.Name, usage)
		unit = "bytes, such as 512MiB or 2GiB"
	default:
		panic(fmt.Sprintf("settings: %s: a setting cannot be a %T", s.Name, variable))
	}
	if s.Unit == "" {
		s.Unit = unit
	}
	if s.Otherwise != "" { // the help text has it already
		f := t.flags.Lookup(s.Name)
		switch variable.(type) {
		case *int, *time.Duration:
			f.DefValue = "0"
		default:
			f.DefValue = ""
		}
	}
	t.all = append(t.all, &s)
}

// Bind adds a flag for each setting, and --config for the file.
func (t *Table) Bind(flags *pflag.FlagSet) {
	flags.StringVar(&t.file, "config", "", "YAML file with any of these settings")
	flags.AddFlagSet(t.flags)
}

// Default returns a setting's default as it would be written.
func (t *Table) Default(s *Setting) string {
	if s.Otherwise != "" {
		return s.Otherwise
	}
	f := t.flags.Lookup(s.Name)
	if v, ok := f.Value.(pflag.SliceValue); ok && len(v.GetSlice()) == 0 {
		return ""
	}
	return f.DefValue
}
