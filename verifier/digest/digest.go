// Package digest computes SHA-256 and HMAC-SHA256 faster than a new hash for each
// event. Package verifier uses it to verify requests and to name events, and package
// forwarder to sign deliveries. It reuses the states of earlier computations: an HMAC
// starts from a state in which its key is already hashed.
//
// It imports only the standard library.
package digest

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"
)

// Size is the length of every digest, in bytes.
const Size = sha256.Size

// SHA256 returns the SHA-256 of a prefix followed by a body.
func SHA256[P string | []byte](prefix P, body []byte) [Size]byte {
	w := pool.Get().(*workspace)
	defer pool.Put(w)
	w.plain.Reset()
	return sum(w, w.plain, prefix, body)
}

// HMAC returns the HMAC-SHA256 of a prefix followed by a body.
func HMAC[K, P string | []byte](key K, prefix P, body []byte) [Size]byte {
	w := pool.Get().(*workspace)
	defer pool.Put(w)
	return sum(w, keyed(w, key), prefix, body)
}

// maxKeys is how many keys a workspace keeps. With more keys, computing is as slow
// as without a workspace.
const maxKeys = 64

// A workspace holds the state of one computation at a time. A key that is no longer
// used stays in it until there are too many keys, or until it is garbage collected.
type workspace struct {
	plain hash.Hash
	byKey map[string]hash.Hash
	bytes []byte // a copy of what would otherwise escape to the heap
}

var pool = sync.Pool{New: func() any {
	return &workspace{plain: sha256.New(), byKey: make(map[string]hash.Hash)}
}}

// keyed returns the HMAC of a key in its initial state.
func keyed[K string | []byte](w *workspace, key K) hash.Hash {
	if h := w.byKey[string(key)]; h != nil {
		h.Reset()
		return h
	}
	if len(w.byKey) == maxKeys {
		clear(w.byKey)
	}
	h := hmac.New(sha256.New, []byte(key))
	w.byKey[string(key)] = h
	return h
}

func sum[P string | []byte](w *workspace, h hash.Hash, prefix P, body []byte) [Size]byte {
	w.bytes = append(w.bytes[:0], prefix...)
	_, _ = h.Write(w.bytes) // a hash returns no error
	_, _ = h.Write(body)
	w.bytes = h.Sum(w.bytes[:0])
	return [Size]byte(w.bytes)
}
