package seal

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
)

// A Key seals and opens records.
type Key [keySize]byte

// ParseKey decodes a key from the standard base64 of its 32 bytes. Its errors never
// quote the input.
func ParseKey(s string) (Key, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return Key{}, errors.New("reading an encryption key: it is not base64; `caddy scribegate keygen` prints a new one")
	}
	if len(b) != keySize {
		return Key{}, fmt.Errorf("reading an encryption key: it has %d bytes and must have %d; `caddy scribegate keygen` prints a new one", len(b), keySize)
	}
	return Key(b), nil
}

// NewKey returns a random key.
func NewKey() Key {
	var k Key
	_, _ = rand.Read(k[:]) // never fails; without randomness the process ends
	return k
}

// Encode returns the key in the form that ParseKey reads.
func (k Key) Encode() string { return base64.StdEncoding.EncodeToString(k[:]) }

// String returns a fixed text, so that no log or error prints a key.
func (Key) String() string { return "[key]" }

// GoString returns a fixed text, so that no log or error prints a key.
func (Key) GoString() string { return "[key]" }

// A Fingerprint identifies a key without revealing it.
type Fingerprint [8]byte

// Fingerprint returns the fingerprint with which every record that the key seals
// begins.
func (k Key) Fingerprint() Fingerprint {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("scribegate queue key fingerprint v1"))
	return Fingerprint(mac.Sum(nil)[:len(Fingerprint{})])
}
