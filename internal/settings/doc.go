// Package settings lets a program be configured by flags, by the environment and by a YAML file, from one table.
//
//	table := settings.New("nimbus")
//	table.Add(&c.Detection, settings.Setting{Name: "detection", About: "after how long without a sign of life …"})
//	table.Bind(command.Flags())
//	…
//	err := table.Resolve()
//
// A Setting has one name. It is that of the flag (--stop-wait), of the key in the file (stop-wait: 5s), and, in capitals
// and with ASKBACK_ before it, that of the environment variable (ASKBACK_STOP_WAIT). A flag wins over the environment,
// which wins over the file, which wins over the default. The same table makes the help text and the reference.
//
// An unknown key of the file is an error: a misspelt setting must not be ignored silently. An unknown variable of the
// environment is not, since the environment belongs to others too. An empty variable counts as none.
//
// Libraries for this (viper, koanf) merge maps, and leave types, units, unknown keys and where a wrong value stands to
// their user, which is most of what is here.
package settings
