// Package inject is how test kits and benchmarks reach into a local run: they look at it, and kill its tasks. Programs
// use package faults, which is a front of this one.
//
// The root package must not export any of this, so it installs Option instead:
//
//	option := inject.Option(func(f *inject.Faults) { f.Kills = 3 }).(askback.Option)
package inject
