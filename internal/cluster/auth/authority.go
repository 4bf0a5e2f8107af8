package auth

import (
	"fmt"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// keys are those of a new cluster.
type keys struct {
	operator, system, account, workers, signing pair
}

// A pair is a key with its public form.
type pair struct {
	nkeys.KeyPair
	public string
}

// newKeys makes the keys of a cluster.
func newKeys() (k keys, err error) {
	for _, one := range []struct {
		to   *pair
		make func() (nkeys.KeyPair, error)
	}{{&k.operator, nkeys.CreateOperator}, {&k.system, nkeys.CreateAccount}, {&k.account, nkeys.CreateAccount}, {&k.workers, nkeys.CreateAccount}, {&k.signing, nkeys.CreateAccount}} {
		if *one.to, err = newPair(one.make); err != nil {
			return keys{}, err
		}
	}
	return k, nil
}

func newPair(make func() (nkeys.KeyPair, error)) (p pair, err error) {
	if p.KeyPair, err = make(); err != nil {
		return p, fmt.Errorf("auth: make key: %w", err)
	}
	if p.public, err = p.PublicKey(); err != nil {
		return p, fmt.Errorf("auth: make key: %w", err)
	}
	return p, nil
}

// seed returns the text that a key is kept as.
func (p pair) seed() string {
	s, err := p.Seed()
	if err != nil {
		panic("auth: a key that was made has a seed: " + err.Error())
	}
	return string(s)
}

func (p pair) String() string   { return p.public }
func (p pair) GoString() string { return p.public }

// tokens are the JWTs that servers need.
type tokens struct {
	operator, system, account, workers string
}

// issue makes the JWTs of the operator and its accounts.
func (k keys) issue(name string, p natscluster.Subjects) (t tokens, err error) {
	operator := jwt.NewOperatorClaims(k.operator.public)
	operator.Name = name
	operator.SystemAccount = k.system.public
	if t.operator, err = operator.Encode(k.operator.KeyPair); err != nil {
		return t, fmt.Errorf("%w: operator: %w", ErrIssue, err)
	}
	system := jwt.NewAccountClaims(k.system.public)
	system.Name = "SYS"
	if t.system, err = system.Encode(k.operator.KeyPair); err != nil {
		return t, fmt.Errorf("%w: system account: %w", ErrIssue, err)
	}
	account := newAccount(k.account.public, "ASKBACK")
	account.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	workers := newAccount(k.workers.public, "WORKERS")
	workers.SigningKeys.Add(k.signing.public)
	join(account, workers, p)
	if t.account, err = account.Encode(k.operator.KeyPair); err != nil {
		return t, fmt.Errorf("%w: account: %w", ErrIssue, err)
	}
	if t.workers, err = workers.Encode(k.operator.KeyPair); err != nil {
		return t, fmt.Errorf("%w: workers' account: %w", ErrIssue, err)
	}
	return t, nil
}

func newAccount(key, name string) *jwt.AccountClaims {
	a := jwt.NewAccountClaims(key)
	a.Name = name
	// A user issued without permissions may do nothing, and not everything.
	a.DefaultPermissions.Pub.Deny.Add(">")
	a.DefaultPermissions.Sub.Deny.Add(">")
	return a
}

// join lets messages between workers and the others pass the accounts. See package doc for why there are two.
func join(account, workers *jwt.AccountClaims, p natscluster.Subjects) {
	// No two of these subjects overlap for any names: the server would see a cycle, and drop one.
	for _, service := range []struct {
		subject string
		answers jwt.ResponseType
	}{
		{string(p) + ".*.log.*.*", jwt.ResponseTypeSingleton},
		{"$JS.API.DIRECT.GET.>", jwt.ResponseTypeStream}, // a batch
		{string(p) + ".api.worker.*.*.*.*", jwt.ResponseTypeSingleton},
		{p.Event("*"), jwt.ResponseTypeSingleton},
		// Not a stream: answers that a worker has JetStream send in its name pass on to streams, and not to services.
		{string(p) + ".heartbeat.worker.*.*.*", jwt.ResponseTypeSingleton},
	} {
		pass(account, workers, jwt.Service, service.subject, service.answers)
	}
	for _, api := range workerAPI {
		from := jwt.Subject("$JS.API." + api + ".*")
		account.Exports.Add(&jwt.Export{Name: string(from), Subject: from, Type: jwt.Service, ResponseType: jwt.ResponseTypeSingleton})
		workers.Imports.Add(&jwt.Import{Name: string(from), Subject: from, Account: account.Subject, Type: jwt.Service, LocalSubject: jwt.RenamingSubject(mapped(p, api, "$1"))})
		workers.AddMapping(from, jwt.WeightedMapping{Subject: jwt.Subject(mapped(p, api, "$1"))})
	}
	pass(workers, account, jwt.Service, string(p)+".worker.*.*.*.*", jwt.ResponseTypeSingleton)
	pass(workers, account, jwt.Stream, string(p)+".*.data.*.*.*.*", "") // tap
}

func pass(from, to *jwt.AccountClaims, kind jwt.ExportType, subject string, answers jwt.ResponseType) {
	from.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: kind, ResponseType: answers})
	to.Imports.Add(&jwt.Import{Name: subject, Subject: jwt.Subject(subject), Account: from.Subject, Type: kind})
}

// A user is one to be made. Its permissions depend on its key.
type user struct {
	name string
	tags []string
	may  func(key string) jwt.Permissions // nil: the account's default permissions
}

func nimbusUser(p natscluster.Subjects) user {
	return user{"nimbus", []string{"role:nimbus"}, func(key string) jwt.Permissions { return NimbusPermissions(p, key) }}
}

func supervisorUser(p natscluster.Subjects, name string) user {
	return user{"supervisor " + name, []string{"role:supervisor"}, func(key string) jwt.Permissions {
		return SupervisorPermissions(p, key, name)
	}}
}

func person(p natscluster.Subjects, name string, role cluster.Role) user {
	return user{name, []string{role.Tag()}, func(key string) jwt.Permissions {
		return RolePermissions(p, key, role)
	}}
}

// credentials makes a user's key, and returns the text of its credentials file.
func (u user) credentials(account nkeys.KeyPair) ([]byte, error) {
	own, err := newPair(nkeys.CreateUser)
	if err != nil {
		return nil, err
	}
	defer own.Wipe()
	claims := jwt.NewUserClaims(own.public)
	claims.Name = u.name
	claims.Tags.Add(u.tags...)
	if u.may != nil {
		claims.Permissions = u.may(own.public)
	}
	token, err := claims.Encode(account)
	if err != nil {
		return nil, fmt.Errorf("%w: user %s: %w", ErrIssue, u.name, err)
	}
	text, err := jwt.FormatUserConfig(token, []byte(own.seed()))
	if err != nil {
		return nil, fmt.Errorf("%w: user %s: %w", ErrIssue, u.name, err)
	}
	return text, nil
}
