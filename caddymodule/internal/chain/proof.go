package chain

import (
	"crypto/subtle"

	"github.com/scribegate/scribegate/forwarder/seal"
)

// A Proof is what shows whether the content of a line is that which was written. It does not
// reveal the content.
type Proof struct {
	Digest Digest
	Link   Link
}

// A Verdict is the result of checking a Proof.
type Verdict string

// The verdicts.
const (
	Right      Verdict = "right"       // the line is as it was written
	Wrong      Verdict = "wrong"       // it was changed, or written by somebody without the key
	UnknownKey Verdict = "unknown_key" // the key is not among those given
	Transient  Verdict = "without_key" // the key was that of a process without a store, and is gone
)

// Check returns the verdict on a proof by some keys.
func Check(p Proof, keys []seal.AuditKey) Verdict {
	if p.Link.Key == seal.TransientAuditID {
		return Transient
	}
	verdict := UnknownKey
	for _, k := range keys {
		if k.ID() != p.Link.Key {
			continue
		}
		mac := k.MAC(p.Digest[:])
		if subtle.ConstantTimeCompare(mac[:], p.Link.MAC[:]) == 1 {
			return Right
		}
		verdict = Wrong
	}
	return verdict
}
