package daemon

import (
	"errors"
	"fmt"

	"github.com/askback/askback/internal/cluster/artefact"
	"github.com/askback/askback/internal/cluster/auth"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/internal/settings"
)

// AddConnection adds the settings of the NATS connection. They are the same for all programs.
func AddConnection(t *settings.Table, c *natscluster.Connection) {
	c.Servers, c.Prefix = "nats://127.0.0.1:4222", natscluster.DefaultPrefix
	t.Add(&c.Servers, settings.Setting{Name: "server", Unit: "URLs, separated by commas", About: "NATS servers; outside loopback they need TLS and --creds"})
	t.Add(&c.Creds, settings.Setting{Name: "creds", Unit: "file", About: `credentials that "askback auth init" has made (only a cluster on loopback may do without)`})
	t.Add(&c.CA, settings.Setting{Name: "ca", Unit: "file", About: "certificate of the authority that the servers' are checked against", Otherwise: "the system's"})
	t.Add(&c.Prefix, settings.Setting{Name: "prefix", Unit: "name", About: "the beginning of all subjects, streams and buckets of the cluster"})
}

// errTrust: with credentials the trusted signers must be named.
var errTrust = errors.New(`--creds without --trust: name the file trust that "askback auth init" has made, which lists the signers whose programs may run`)

// trust reads whose artefacts may run.
func trust(c *natscluster.Connection, path string) (t artefact.Trust, err error) {
	if path == "" {
		if c.Creds != "" {
			err = errTrust
		}
		return t, err
	}
	t.Accounts, err = auth.ReadTrust(path)
	return t, err
}

// issuer reads the key that signs workers' permissions; nil in an open cluster.
func issuer(c *natscluster.Connection, path string) (*auth.Issuer, error) {
	if path == "" {
		if c.Creds != "" {
			return nil, errors.New(`--creds without --issuer: name the file issuer.json that "askback auth init" has made, by which workers get their permissions`)
		}
		return nil, nil
	}
	user, err := c.User()
	if err != nil {
		return nil, err
	}
	if user.Key() == "" {
		return nil, fmt.Errorf("--issuer without --creds: an open cluster has no permissions")
	}
	return auth.ReadIssuer(path, c.Subjects())
}
