package auth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
	"github.com/askback/askback/msgid"
)

// ErrIssue: a JWT cannot be issued. The message names the fault of the request.
var ErrIssue = errors.New("auth: cannot issue")

// An Issuer issues workers. Nimbus has it. It cannot issue people, nor any other user of the cluster's account: workers
// have an account of their own.
type Issuer struct {
	p       natscluster.Subjects
	account string
	key     string
	// pair is a function, so that the seed is in no field that something prints.
	pair func() (nkeys.KeyPair, error)
}

// NewIssuer returns the issuer of the workers' account with the seed of one of its signing keys.
func NewIssuer(p natscluster.Subjects, account string, seed []byte) (*Issuer, error) {
	if !nkeys.IsValidPublicAccountKey(account) {
		return nil, fmt.Errorf("%w: the key given is no account's public key", ErrIssue) // it may be a seed: not repeated
	}
	seed = bytes.Clone(bytes.TrimSpace(seed))
	i := &Issuer{p: p, account: account, pair: func() (nkeys.KeyPair, error) { return nkeys.FromSeed(seed) }}
	pair, err := i.pair()
	if err != nil {
		return nil, fmt.Errorf("%w: the signing key's seed: %w", ErrIssue, err)
	}
	defer pair.Wipe()
	if i.key, err = pair.PublicKey(); err != nil || !nkeys.IsValidPublicAccountKey(i.key) {
		return nil, fmt.Errorf("%w: the signing key is not an account's", ErrIssue)
	}
	return i, nil
}

// ReadIssuer reads the file issuer.json that Init makes.
func ReadIssuer(path string, p natscluster.Subjects) (*Issuer, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth: issuer: %w", err)
	}
	var f issuerFile
	if err := json.Unmarshal(text, &f); err != nil {
		return nil, fmt.Errorf("auth: %s is no issuer file of \"askback auth init\": want a JSON object with account and seed", path)
	}
	return NewIssuer(p, f.Account, []byte(f.Seed))
}

type issuerFile struct {
	Account string `json:"account"` // of the workers; public
	Seed    string `json:"seed"`    // of the signing key
}

// IssueWorker returns the JWT of a worker's public key, which may be those tasks in that slot for ttl. From is the instance
// that the topology was before, if its log is still needed.
func (i *Issuer) IssueWorker(key string, slot cluster.WorkerSlot, tasks []msgid.Alias, from cluster.Instance, ttl time.Duration) (string, error) {
	if !nkeys.IsValidPublicUserKey(key) {
		return "", fmt.Errorf("%w: the key given is no user's public key", ErrIssue) // it may be a seed: not repeated
	}
	if err := slot.Check(); err != nil {
		return "", fmt.Errorf("%w: %w", ErrIssue, err)
	}
	if from != "" && (from.Check() != nil || from.Name() != slot.Instance.Name()) {
		return "", fmt.Errorf("%w: %.80q is no earlier instance of %s", ErrIssue, string(from), slot.Instance)
	}
	for _, task := range tasks {
		if !msgid.ValidName(task.Operator) || task.Index < 0 {
			return "", fmt.Errorf("%w: %.80q is not a task", ErrIssue, task.String())
		}
	}
	if ttl < time.Second {
		return "", fmt.Errorf("%w: a life of %v: want at least 1s, for JWTs count in seconds", ErrIssue, ttl)
	}
	claims := jwt.NewUserClaims(key)
	claims.Name = slotName(slot)
	claims.IssuerAccount = i.account
	claims.Expires = time.Now().Add(ttl).Unix()
	claims.Tags.Add("role:worker")
	claims.Permissions = WorkerPermissions(i.p, key, slot, tasks, from)
	return encode(claims, i.pair)
}

// String names the account, and keeps the seed out of logs and errors.
func (i *Issuer) String() string { return "issuer of account " + i.account }

// GoString is String.
func (i *Issuer) GoString() string { return i.String() }

func encode(claims *jwt.UserClaims, signer func() (nkeys.KeyPair, error)) (string, error) {
	pair, err := signer()
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrIssue, err)
	}
	defer pair.Wipe()
	token, err := claims.Encode(pair)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrIssue, err)
	}
	return token, nil
}
