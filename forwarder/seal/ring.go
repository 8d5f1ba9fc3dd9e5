package seal

import (
	"crypto/rand"
	"errors"
	"fmt"
)

// A sealed record consists of the fingerprint of its key, the nonce, the ciphertext and
// the tag.
const (
	Header   = len(Fingerprint{}) + nonceSize // bytes before the plaintext
	Overhead = tagSize                        // bytes after the plaintext
)

// The reasons why a record does not open.
var (
	ErrCutShort   = errors.New("its record is cut short")
	ErrUnknownKey = errors.New("its record is sealed with a key that is not configured")
	ErrChanged    = errors.New("its record has been changed")
)

// A Ring seals with one key and opens with several. It is safe for concurrent use.
type Ring struct {
	sealer  Fingerprint
	ciphers map[Fingerprint]*xaes
	audit   []AuditKey
}

// NewRing returns a ring that seals with the first key and opens with all.
func NewRing(keys []Key) (*Ring, error) {
	if len(keys) == 0 {
		return nil, errors.New("creating a key ring: no key is given")
	}
	r := &Ring{sealer: keys[0].Fingerprint(), ciphers: make(map[Fingerprint]*xaes, len(keys))}
	for _, k := range keys {
		r.ciphers[k.Fingerprint()] = newXAES(k)
		r.audit = append(r.audit, k.Audit())
	}
	return r, nil
}

// Sealer returns the fingerprint of the key that seals.
func (r *Ring) Sealer() Fingerprint { return r.sealer }

// Audit returns the keys of the audit trail, in the order of the keys that they are derived
// from. The caller must not change the slice.
func (r *Ring) Audit() []AuditKey { return r.audit }

// Opens reports whether the key with the fingerprint is in the ring.
func (r *Ring) Opens(f Fingerprint) bool { return r.ciphers[f] != nil }

// KeyOf returns the fingerprint of the key that sealed the record, and false if the
// record is too short.
func KeyOf(sealed []byte) (Fingerprint, bool) {
	if len(sealed) < Header+Overhead {
		return Fingerprint{}, false
	}
	return Fingerprint(sealed), true
}

// Seal returns the sealed record of the event with the id. buf contains Header unused
// bytes, followed by the plaintext, which Seal overwrites. If buf has Overhead bytes of
// spare capacity, Seal allocates no memory for the record.
func (r *Ring) Seal(id string, buf []byte) ([]byte, error) {
	if len(buf) < Header {
		return nil, fmt.Errorf("sealing event %s: the buffer has no room for the header", id)
	}
	copy(buf, r.sealer[:])
	nonce := buf[len(r.sealer):Header]
	_, _ = rand.Read(nonce) // never fails; without randomness the process ends
	sealed, err := r.ciphers[r.sealer].seal(buf[:Header], nonce, buf[Header:], additional(id))
	if err != nil {
		return nil, fmt.Errorf("sealing event %s: %w", id, err)
	}
	return sealed, nil
}

// Open returns the plaintext of the event's record, or one of ErrCutShort,
// ErrUnknownKey and ErrChanged. It does not change the record.
func (r *Ring) Open(id string, sealed []byte) (plaintext []byte, err error) {
	plain, err := r.open(id, sealed, nil)
	if err != nil {
		return nil, fmt.Errorf("opening event %s: %w", id, err)
	}
	return plain, nil
}

// Reseal returns a new record with the same plaintext, sealed with the ring's first
// key. It returns the errors of Open.
func (r *Ring) Reseal(id string, sealed []byte) ([]byte, error) {
	buf, err := r.open(id, sealed, make([]byte, Header, max(Header, len(sealed))))
	if err != nil {
		return nil, fmt.Errorf("opening event %s: %w", id, err)
	}
	return r.Seal(id, buf)
}

// open appends the plaintext to dst.
func (r *Ring) open(id string, sealed, dst []byte) ([]byte, error) {
	f, ok := KeyOf(sealed)
	if !ok {
		return nil, ErrCutShort
	}
	x := r.ciphers[f]
	if x == nil {
		return nil, ErrUnknownKey
	}
	plain, err := x.open(dst, sealed[len(f):Header], sealed[Header:], additional(id))
	if err != nil {
		return nil, ErrChanged
	}
	return plain, nil
}

// additional returns the additional data that binds a record to its event. The id is
// sufficient: it is unique in a store, and it is known before the event is committed.
func additional(id string) []byte {
	return append([]byte("scribegate event v1\x00"), id...)
}
