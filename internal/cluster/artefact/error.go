package artefact

import "errors"

// Errors of this package. What is wrapped around them names the artefact and says what to do.
var (
	// ErrDigest: a digest that cannot be one, or a size that cannot be.
	ErrDigest = errors.New("artefact: bad digest")
	// ErrMissing: the object store does not have it. Submit it again.
	ErrMissing = errors.New("artefact: not in the object store")
	// ErrMismatch: what the object store or the cache has is not what was submitted. It was not run.
	ErrMismatch = errors.New("artefact: digest mismatch")
	// ErrSignature: the signature is not the signer's, or is of another topology or program.
	ErrSignature = errors.New("artefact: bad signature")
	// ErrUntrusted: the signer is not known to the cluster, or may not submit.
	ErrUntrusted = errors.New("artefact: signer is not trusted")
)
