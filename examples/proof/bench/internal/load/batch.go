package load

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

// A prepared has the parts of a request that differ between requests.
type prepared struct {
	id        [idLength]byte
	signature [signatureLength]byte // zero if the provider does not sign
}

// A batch has prepared requests. Each of them is sent once.
type batch struct {
	http1    template
	http2    template
	requests []prepared
	next     atomic.Int64
}

// take returns the next request, or nil if there is none left.
func (b *batch) take() *prepared {
	n := b.next.Add(1)
	if n > int64(len(b.requests)) {
		return nil
	}
	return &b.requests[n-1]
}

// Taken returns the number of requests that were taken. It may count some beyond the last one.
func (b *batch) Taken() int64 { return b.next.Load() }

// A Spec describes requests to prepare.
type Spec struct {
	Path   string
	Secret string // of SOAPNoteAPI; empty for Soniox
	Header string // Authorization of Soniox
	Body   body
}

var (
	errNoCloner = errors.New("signing requests: this version of Go cannot copy the state of HMAC-SHA256")
	lastID      atomic.Uint64 // no id is used twice in this process
)

// Prepare returns a batch of n requests for a host, signed for the time at. The bytes that
// all requests have in common are hashed once.
func (o Spec) Prepare(host string, n int, at time.Time) (*batch, error) {
	header := []field{{"Authorization", o.Header}}
	stamp := strconv.FormatInt(at.Unix(), 10)
	if o.Secret != "" {
		header = []field{{"X-Soapnoteapi-Timestamp", stamp}, {signatureField, hex.EncodeToString(make([]byte, sha256.Size))}}
	}
	b := &batch{http1: http1(host, o.Path, header, o.Body), http2: frames(host, o.Path, header, o.Body), requests: make([]prepared, n)}
	first := lastID.Add(uint64(n)) - uint64(n)
	for i := range b.requests {
		b.requests[i].number(first + uint64(i))
	}
	if o.Secret == "" {
		return b, nil
	}
	common, ok := hmac.New(sha256.New, []byte(o.Secret)).(hash.Cloner)
	if !ok {
		return nil, errNoCloner
	}
	_, _ = common.Write([]byte(stamp + "." + o.Body.before)) // a hash never returns an error
	return b, b.sign(common, []byte(o.Body.after))
}

// sign signs every request. common is the state of the hash up to the id.
func (b *batch) sign(common hash.Cloner, after []byte) error {
	var sum [sha256.Size]byte
	for i := range b.requests {
		s := &b.requests[i]
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

// number sets the id to a decimal number.
func (s *prepared) number(n uint64) {
	for i := range s.id {
		s.id[idLength-1-i] = byte('0' + n%10)
		n /= 10
	}
}
