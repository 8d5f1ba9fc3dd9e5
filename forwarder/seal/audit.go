package seal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// AuditMACSize is the size of an HMAC of an AuditKey in bytes.
const AuditMACSize = 16

// An AuditKey authenticates the lines of the audit trail. It is derived from the Key that seals
// records, and reveals nothing about it.
type AuditKey struct {
	id     string
	secret [sha256.Size]byte
}

// Audit returns the key of the audit trail that is derived from the key.
func (k Key) Audit() AuditKey {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("scribegate audit trail v1"))
	f := k.Fingerprint()
	a := AuditKey{id: hex.EncodeToString(f[:4])}
	mac.Sum(a.secret[:0])
	return a
}

// TransientAuditID is the ID of each key of NewTransientAudit.
const TransientAuditID = "00000000"

// NewTransientAudit returns a random key, which ends with the process: nothing that it
// authenticates can be verified later.
func NewTransientAudit() AuditKey {
	a := AuditKey{id: TransientAuditID}
	_, _ = rand.Read(a.secret[:]) // never fails; without randomness the process ends
	return a
}

// ID returns the 8 hex digits that identify the key: the beginning of the fingerprint of the
// Key that it is derived from.
func (a AuditKey) ID() string { return a.id }

// MAC returns the HMAC-SHA256 of a message, cut to AuditMACSize bytes.
func (a AuditKey) MAC(message []byte) (m [AuditMACSize]byte) {
	mac := hmac.New(sha256.New, a.secret[:])
	mac.Write(message)
	copy(m[:], mac.Sum(nil))
	return m
}

// String returns a fixed text, so that no log or error prints a key.
func (AuditKey) String() string { return "[key]" }

// GoString returns a fixed text, so that no log or error prints a key.
func (AuditKey) GoString() string { return "[key]" }
