package boltqueue

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// A Key seals payloads.
type Key [xaesKeySize]byte

// ParseKey reads a key from the standard base64 of its 32 bytes. The error
// quotes nothing of it.
func ParseKey(s string) (Key, error) {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	if err != nil {
		return Key{}, errors.New("reading an encryption key: it is not base64; `scribegate keygen` prints a new one")
	}
	if len(b) != xaesKeySize {
		return Key{}, fmt.Errorf("reading an encryption key: it has %d bytes and must have %d; `scribegate keygen` prints a new one", len(b), xaesKeySize)
	}
	return Key(b), nil
}

// String keeps a key out of whatever prints it.
func (Key) String() string { return "[key]" }

// GoString keeps a key out of whatever prints it.
func (Key) GoString() string { return "[key]" }

// A fingerprint tells which key sealed a record.
type fingerprint [8]byte

func (k Key) fingerprint() fingerprint {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("scribegate queue key fingerprint v1"))
	return fingerprint(mac.Sum(nil)[:8])
}

// A keyring seals with one key and opens with any of them.
type keyring struct {
	sealer  fingerprint
	ciphers map[fingerprint]*xaes
	file    string // where the sealing key is the automatic one, its file

	// The file of the automatic key where keys are given as well, and its key.
	spare    string
	spareKey fingerprint
}

// newKeyring makes a keyring whose first key seals.
func newKeyring(keys []Key) (*keyring, error) {
	r := &keyring{sealer: keys[0].fingerprint(), ciphers: make(map[fingerprint]*xaes, len(keys))}
	for _, k := range keys {
		x, err := newXAES(k[:])
		if err != nil {
			return nil, err
		}
		r.ciphers[k.fingerprint()] = x
	}
	return r, nil
}

// A sealed payload is the fingerprint of its key, a random nonce, and what
// XAES-256-GCM made.
const sealedHeader = len(fingerprint{}) + xaesNonceSize

// sealedFor is the additional data that binds a payload to its event. The id
// does it: it is the key of the dedupe entries, so that no two events in the
// store share it, and unlike the place in the order of arrival it is known
// before the commit, so that sealing need not hold the commit up.
func sealedFor(id string) []byte {
	return append([]byte("scribegate queue payload v1\x00"), id...)
}

// seal codes and seals an event, in one place.
func (r *keyring) seal(e *event.Event) ([]byte, error) {
	out, err := e.AppendBinary(make([]byte, sealedHeader, sealedHeader+e.BinarySize()+xaesOverhead))
	if err != nil {
		return nil, err
	}
	return r.enclose(e.ID, out)
}

// enclose seals what stands behind the room for the header, where it stands.
func (r *keyring) enclose(id string, out []byte) ([]byte, error) {
	var nonce [xaesNonceSize]byte
	_, _ = rand.Read(nonce[:]) // never fails; a system without randomness ends the process
	copy(out[copy(out, r.sealer[:]):], nonce[:])
	return r.ciphers[r.sealer].seal(out[:sealedHeader], nonce[:], out[sealedHeader:], sealedFor(id))
}

// open opens the payload of the event with the id, or returns ErrUnreadable.
func (r *keyring) open(id string, sealed []byte) (*event.Event, error) {
	plain, err := r.disclose(id, sealed)
	if err != nil {
		return nil, err
	}
	e, err := event.Decode(plain)
	if err != nil {
		return nil, fmt.Errorf("opening event %s: %w: its coding is not known", id, queue.ErrUnreadable)
	}
	return e, nil
}

func (r *keyring) disclose(id string, sealed []byte) (plain []byte, err error) {
	if len(sealed) < sealedHeader {
		return nil, fmt.Errorf("opening event %s: %w: its record is cut short", id, queue.ErrUnreadable)
	}
	x := r.ciphers[fingerprint(sealed)]
	if x == nil {
		return nil, fmt.Errorf("opening event %s: %w: it is sealed with a key that is not configured", id, queue.ErrUnreadable)
	}
	plain, err = x.open(sealed[len(fingerprint{}):sealedHeader], sealed[sealedHeader:], sealedFor(id))
	if err != nil {
		return nil, fmt.Errorf("opening event %s: %w: its record has been changed", id, queue.ErrUnreadable)
	}
	return plain, nil
}

// reseal seals with the sealing key what any of the keys sealed, as it is: also
// what is coded in a way that this version does not know.
func (r *keyring) reseal(id string, sealed []byte) ([]byte, error) {
	plain, err := r.disclose(id, sealed)
	if err != nil {
		return nil, err
	}
	return r.enclose(id, append(make([]byte, sealedHeader, sealedHeader+len(plain)+xaesOverhead), plain...))
}

// older counts the events that are sealed with another key than the one that
// seals now.
func (r *keyring) older(sealed map[fingerprint]int64) int64 {
	var n int64
	for f, events := range sealed {
		if f != r.sealer {
			n += max(0, events)
		}
	}
	return n
}

// spareFile returns the file of the automatic key where nothing needs it: keys
// are given, and no event is sealed with it alone.
func (r *keyring) spareFile(sealed map[fingerprint]int64) string {
	if r.spareKey != r.sealer && sealed[r.spareKey] > 0 {
		return ""
	}
	return r.spare
}

// missing counts the events that are sealed with a key that the ring has not.
func (r *keyring) missing(sealed map[fingerprint]int64) int64 {
	var n int64
	for f, events := range sealed {
		if r.ciphers[f] == nil && events > 0 {
			n += events
		}
	}
	return n
}

// withKey appends a key where it is not among the keys already.
func withKey(keys []Key, k Key) []Key {
	if slices.Contains(keys, k) {
		return keys
	}
	return append(slices.Clone(keys), k)
}
