package verifier

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/textproto"
	"strconv"
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

// The headers that prove a request of SOAPNoteAPI, as the provider writes them.
const (
	SignatureHeader = "X-SoapNoteAPI-Signature"
	TimestampHeader = "X-SoapNoteAPI-Timestamp"
)

// The keys of these headers in an http.Header.
var (
	signatureKey = textproto.CanonicalMIMEHeaderKey(SignatureHeader)
	timestampKey = textproto.CanonicalMIMEHeaderKey(TimestampHeader)
)

// DefaultTolerance is the tolerance if the user sets none.
const DefaultTolerance = 5 * time.Minute

// maxTimestamp is the length in bytes of the longest timestamp, which lasts
// until the year 5138.
const maxTimestamp = 11

// SOAPNoteAPI verifies the webhooks of SOAPNoteAPI. A request is signed with
// HMAC-SHA256 over its timestamp, a period and its raw body; the key is the
// whole secret string, "whsec_" included and nothing decoded.
type SOAPNoteAPI struct {
	// Secrets returns the present secrets in the order of the configuration; a
	// request is genuine if any of them verifies it. An empty secret verifies
	// nothing.
	Secrets func() []string

	// Tolerance is how far a timestamp may be from now, in both directions and
	// inclusive. Both are compared in whole seconds.
	Tolerance time.Duration
}

// Name returns "soapnoteapi".
func (SOAPNoteAPI) Name() string { return "soapnoteapi" }

// Defaults returns the provider's site as source, and 10 MiB.
func (SOAPNoteAPI) Defaults() Defaults {
	return Defaults{Source: "https://soapnoteapi.com", MaxBody: 10 << 20}
}

// EventTypes returns note.generated, note.failed and test.
func (SOAPNoteAPI) EventTypes() []string {
	return []string{noteGenerated, noteFailed, event.Test}
}

// CheckHeader checks that signature and timestamp are there, their form, and the
// timestamp's age.
func (s SOAPNoteAPI) CheckHeader(h http.Header, now time.Time) (Proof, error) {
	signatures, timestamps := h[signatureKey], h[timestampKey]
	if len(signatures) > 1 || len(timestamps) > 1 {
		return nil, &Rejection{HeaderRepeated}
	}
	signature, timestamp := only(signatures), only(timestamps)
	if signature == "" {
		return nil, &Rejection{SignatureMissing}
	}
	if timestamp == "" {
		return nil, &Rejection{TimestampMissing}
	}
	p := &signatureProof{secrets: s.Secrets, timestamp: timestamp}
	if len(signature) != hex.EncodedLen(len(p.signature)) {
		return nil, &Rejection{SignatureMalformed}
	}
	if _, err := hex.Decode(p.signature[:], []byte(signature)); err != nil {
		return nil, &Rejection{SignatureMalformed}
	}
	second, ok := parseTimestamp(timestamp)
	if !ok {
		return nil, &Rejection{TimestampMalformed}
	}
	tolerance := int64(s.Tolerance / time.Second)
	switch age := now.Unix() - second; {
	case age > tolerance:
		return nil, &Rejection{TimestampStale}
	case -age > tolerance:
		return nil, &Rejection{TimestampFuture}
	}
	return p, nil
}

// only returns the value of a header that occurs at most once.
func only(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// parseTimestamp reads Unix seconds: 1 to 11 digits, the first of them not zero.
// Any other form would let the boundary between timestamp and body move under the
// same signature.
func parseTimestamp(s string) (second int64, ok bool) {
	if len(s) == 0 || len(s) > maxTimestamp || s[0] == '0' {
		return 0, false
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
	}
	second, err := strconv.ParseInt(s, 10, 64)
	return second, err == nil
}

// A signatureProof is the signature and the timestamp that a header claims.
type signatureProof struct {
	secrets   func() []string
	timestamp string
	signature [sha256.Size]byte
}

// Verify compares the signature with that of every secret. The time that it takes
// depends on the body and the secrets only.
func (p *signatureProof) Verify(body []byte) (int, error) {
	match := -1
	for i, secret := range values(p.secrets) {
		mac := signature(secret, p.timestamp, body)
		if hmac.Equal(mac, p.signature[:]) && secret != "" && match < 0 {
			match = i
		}
	}
	if match < 0 {
		return -1, &Rejection{SignatureMismatch}
	}
	return match, nil
}

// Sign returns SOAPNoteAPI's signature of a body that is sent at a timestamp in Unix
// seconds: 64 lower-case hexadecimal digits.
func Sign(secret, timestamp string, body []byte) string {
	return hex.EncodeToString(signature(secret, timestamp, body))
}

func signature(secret, timestamp string, body []byte) []byte {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = mac.Write([]byte(timestamp + ".")) // a hash returns no error
	_, _ = mac.Write(body)
	return mac.Sum(nil)
}

// values returns the present values of a configured list; none if it is nil.
func values(list func() []string) []string {
	if list == nil {
		return nil
	}
	return list()
}

// Interface guards
var (
	_ Provider   = SOAPNoteAPI{}
	_ EventTyper = SOAPNoteAPI{}
	_ Proof      = (*signatureProof)(nil)
)
