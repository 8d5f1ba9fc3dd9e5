package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"strconv"
	"sync/atomic"
	"time"
)

// A shot is what is one request's own.
type shot struct {
	id        [idLength]byte
	signature [signatureLength]byte // zero where the provider signs nothing
}

// A magazine holds requests that are ready to be sent, each once.
type magazine struct {
	http1 template
	http2 template
	shots []shot
	next  atomic.Int64
}

// take returns a request that nobody has sent, and nil where none is left.
func (m *magazine) take() *shot {
	n := m.next.Add(1)
	if n > int64(len(m.shots)) {
		return nil
	}
	return &m.shots[n-1]
}

// An order says which requests are to be made ready.
type order struct {
	path   string
	secret string // SOAPNoteAPI's; empty for Soniox
	header string // Soniox's value of Authorization
	body   body
}

var (
	errNoCloner = errors.New("signing requests: the state of HMAC-SHA256 cannot be copied with this Go")
	lastID      atomic.Uint64 // of this process: no id is ever used twice
)

// prepare makes n requests ready for a host, as they are sent at a time. What
// they have in common is hashed once.
func (o order) prepare(host string, n int, at time.Time) (*magazine, error) {
	header := []field{{"Authorization", o.header}}
	stamp := strconv.FormatInt(at.Unix(), 10)
	if o.secret != "" {
		header = []field{{"X-Soapnoteapi-Timestamp", stamp}, {signatureField, hex.EncodeToString(make([]byte, sha256.Size))}}
	}
	m := &magazine{http1: http1(host, o.path, header, o.body), http2: frames(host, o.path, header, o.body), shots: make([]shot, n)}
	first := lastID.Add(uint64(n)) - uint64(n)
	for i := range m.shots {
		m.shots[i].number(first + uint64(i))
	}
	if o.secret == "" {
		return m, nil
	}
	common, ok := hmac.New(sha256.New, []byte(o.secret)).(hash.Cloner)
	if !ok {
		return nil, errNoCloner
	}
	_, _ = common.Write([]byte(stamp + "." + o.body.before)) // a hash takes everything
	return m, m.sign(common, []byte(o.body.after))
}

// sign signs every request. The state has taken in all that comes before the id.
func (m *magazine) sign(common hash.Cloner, after []byte) error {
	var sum [sha256.Size]byte
	for i := range m.shots {
		s := &m.shots[i]
		mac, err := common.Clone()
		if err != nil {
			return errNoCloner
		}
		_, _ = mac.Write(s.id[:])
		_, _ = mac.Write(after)
		hex.Encode(s.signature[:], mac.Sum(sum[:0]))
	}
	return nil
}

// number writes an id.
func (s *shot) number(n uint64) {
	for i := range s.id {
		s.id[idLength-1-i] = byte('0' + n%10)
		n /= 10
	}
}
