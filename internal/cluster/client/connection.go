package client

import (
	"os"

	"github.com/askback/askback/internal/cluster/natscluster"
)

// Environment variables with the settings of a connection.
const (
	ServerVariable = "ASKBACK_SERVER" // URLs, separated by commas
	CredsVariable  = "ASKBACK_CREDS"  // path of the user's credentials
	CAVariable     = "ASKBACK_CA"     // path of the authority's certificate
	PrefixVariable = "ASKBACK_PREFIX" // of all subjects
)

// FromEnvironment returns the settings of a connection in the environment. An unset one is empty: its default.
func FromEnvironment() natscluster.Connection {
	return natscluster.Connection{
		Servers: os.Getenv(ServerVariable), Creds: os.Getenv(CredsVariable), CA: os.Getenv(CAVariable), Prefix: os.Getenv(PrefixVariable),
	}
}
