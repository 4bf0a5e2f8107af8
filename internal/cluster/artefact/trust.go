package artefact

import (
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"github.com/askback/askback/internal/cluster"
	"github.com/askback/askback/internal/cluster/natscluster"
)

// Trust decides whose artefacts are run. The zero value is an open cluster, which runs everybody's.
type Trust struct {
	// Accounts are the public keys by which the JWTs of users are issued: the account's own, and its signing keys for
	// people. Nimbus's signing key is not among them: it issues workers only.
	Accounts []string
	// Now, when it is not zero, is when the signer's permission must hold. Nimbus sets it when a topology is submitted;
	// supervisors leave it zero, since a program keeps running after its user's permission has expired.
	Now time.Time
}

// Open reports whether everybody's artefacts are run.
func (t Trust) Open() bool { return len(t.Accounts) == 0 }

// maxProof is the longest proof in bytes.
const maxProof = 16 << 10

// Sign signs an artefact as the topology of that name, for a user. Without a user, as in an open cluster, the artefact
// stays unsigned.
func Sign(u *natscluster.User, name string, a *cluster.Artefact) error {
	if err := cluster.CheckName("topology", name, cluster.MaxName); err != nil {
		return err
	}
	if err := check(*a); err != nil {
		return err
	}
	if u.Key() == "" {
		return nil
	}
	signature, err := u.Sign(message(name, a.SHA256))
	if err != nil {
		return fmt.Errorf("artefact: sign %s: %w", name, err)
	}
	a.Signer, a.Signature, a.Proof = u.Key(), signature, u.JWT()
	return nil
}

// Verify returns an error unless a trusted user has signed the artefact as the topology of that name. It does not look
// at the bytes: see Get.
func Verify(a cluster.Artefact, name string, trust Trust) error {
	if err := cluster.CheckName("topology", name, cluster.MaxName); err != nil {
		return err
	}
	if err := check(a); err != nil {
		return err
	}
	if trust.Open() && a.Signer == "" {
		return nil
	}
	if !trust.Open() {
		if err := proven(a, name, trust); err != nil {
			return err
		}
	}
	return signed(a, name)
}

func signed(a cluster.Artefact, name string) error {
	refuse := func(why string) error {
		return fmt.Errorf("%w: %s as topology %s: %s; submit it again with credentials of its user", ErrSignature, short(a.SHA256), name, why)
	}
	if !nkeys.IsValidPublicUserKey(a.Signer) {
		return refuse("the signer is no user's key")
	}
	key, err := nkeys.FromPublicKey(a.Signer)
	if err != nil {
		return refuse("the signer is no user's key")
	}
	if err := key.Verify(message(name, a.SHA256), a.Signature); err != nil {
		return refuse("it was not signed by " + a.Signer)
	}
	return nil
}

// proven checks that the cluster knows the signer, and that the signer may submit.
func proven(a cluster.Artefact, name string, trust Trust) error {
	refuse := func(why string) error {
		return fmt.Errorf("%w: %s as topology %s: %s; submit it with credentials of role operate or admin", ErrUntrusted, short(a.SHA256), name, why)
	}
	if a.Signer == "" {
		return refuse("it is not signed")
	}
	if len(a.Proof) > maxProof {
		return refuse("its proof is too long")
	}
	claims, err := jwt.DecodeUserClaims(a.Proof) // checks the issuer's signature
	switch {
	case err != nil:
		return refuse("its proof is no user's JWT")
	case claims.Subject != a.Signer:
		return refuse("its proof is of another user")
	case !slices.Contains(trust.Accounts, claims.Issuer):
		return refuse("its signer was issued by " + claims.Issuer + ", which this cluster does not know")
	case !claims.Tags.Contains(cluster.Operate.Tag()) && !claims.Tags.Contains(cluster.Admin.Tag()):
		return refuse("its signer may not submit")
	case !trust.Now.IsZero() && claims.Expires != 0 && trust.Now.Unix() >= claims.Expires:
		return refuse("its signer's credentials expired at " + time.Unix(claims.Expires, 0).UTC().Format(time.RFC3339))
	case !trust.Now.IsZero() && claims.NotBefore > trust.Now.Unix():
		return refuse("its signer's credentials do not hold yet")
	}
	return nil
}

// message returns the signed text. Its first line names its purpose, so that it cannot be mistaken for a server's
// nonce.
func message(name, sha string) []byte { return []byte("askback artefact\n" + name + "\n" + sha) }
