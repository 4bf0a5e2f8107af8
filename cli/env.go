package cli

import (
	"net/url"
	"os"
	"regexp"
	"strings"
)

// environment is the value of --env: variables to set, in the order given.
type environment struct {
	names  []string
	values []string
}

// String implements flag.Value. It shows no value.
func (e *environment) String() string {
	if e == nil {
		return ""
	}
	return strings.Join(e.names, ", ")
}

var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// Set implements flag.Value: it takes NAME=VALUE, or NAME of a variable that is set here.
func (e *environment) Set(text string) error {
	name, value, valued := strings.Cut(text, "=")
	if !variableName.MatchString(name) {
		return wrong("--env: %.80q is not the name of a variable: want NAME=VALUE, or NAME", name)
	}
	if strings.HasPrefix(name, "ASKBACK_") {
		return wrong("--env %s: variables that begin with ASKBACK_ are the runtime's own", name)
	}
	if !valued {
		var set bool
		if value, set = os.LookupEnv(name); !set {
			return wrong("--env %s: the variable is not set here: give its value, --env %[1]s=VALUE", name)
		}
	}
	e.names, e.values = append(e.names, name), append(e.values, value)
	return nil
}

// apply sets the variables.
func (e *environment) apply() error {
	for i, name := range e.names {
		if err := os.Setenv(name, e.values[i]); err != nil {
			return wrong("--env %s: %w", name, err)
		}
	}
	return nil
}

// secretName matches the names of variables that usually hold a secret.
var secretName = regexp.MustCompile(`(?i)passw|passphrase|pwd$|secret|token|credential|(api|access|private|signing|encryption)_?key|_dsn$`)

// checkSecrets finds variables that look like secrets: a cluster records what it gives to workers.
func (e *environment) checkSecrets() error {
	for i, name := range e.names {
		if secretName.MatchString(name) && name != "PWD" && name != "OLDPWD" || hasPassword(e.values[i]) {
			return wrong("--env %s looks like a secret, and all users who may describe the topology can read the environment and arguments it is submitted with: put it into a file on the hosts of the workers, and submit the file's name", name)
		}
	}
	return nil
}

// hasPassword reports whether a text is a URL with a password.
func hasPassword(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return false
	}
	_, has := u.User.Password()
	return has
}

// arguments returns the flags that set the variables in workers.
func (e *environment) arguments() (args []string) {
	for i, name := range e.names {
		args = append(args, "--env="+name+"="+e.values[i])
	}
	return args
}
