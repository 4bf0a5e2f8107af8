package artefact

import "errors"

// Errors of this package. The wrapping text names the artefact and the remedy.
var (
	// ErrDigest: a digest that cannot be one, or a size that cannot be.
	ErrDigest = errors.New("artefact: bad digest")
	// ErrMissing: the object store does not have it. Submit it again.
	ErrMissing = errors.New("artefact: not in the object store")
	// ErrMismatch: the bytes in the object store or in the cache are not those submitted. The program was not run.
	ErrMismatch = errors.New("artefact: digest mismatch")
	// ErrSignature: the signature is not the signer's, or is of another topology or program.
	ErrSignature = errors.New("artefact: bad signature")
	// ErrUntrusted: the signer is not known to the cluster, or may not submit.
	ErrUntrusted = errors.New("artefact: signer is not trusted")
)
