package receive

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Tolerance is how far a delivery's timestamp may be from now, in both
// directions. Every attempt is signed anew, so late retries are within it.
const Tolerance = 5 * time.Minute

// The reasons for which a delivery is refused.
var (
	ErrMissing  = errors.New("webhook-id, webhook-timestamp or webhook-signature is missing")
	ErrTime     = errors.New("webhook-timestamp is not within five minutes of now: compare the clocks of gateway and backend")
	ErrMismatch = errors.New("no webhook-signature matches: compare signing_secret with SCRIBEGATE_SIGNING_SECRET")
)

// A Key is the key inside a signing secret.
type Key []byte

// ParseSecret takes a signing secret as `caddy scribegate keygen` prints it:
// whsec_ and then base64. An empty one is an error, since a backend without a
// key would have to believe everybody.
func ParseSecret(secret string) (Key, error) {
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return nil, errors.New("reading the signing secret: it must begin with whsec_; set SCRIBEGATE_SIGNING_SECRET to the gateway's signing_secret")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("reading the signing secret: what follows whsec_ must be base64; copy the gateway's signing_secret whole")
	}
	if len(key) == 0 {
		return nil, errors.New("reading the signing secret: nothing follows whsec_; make one with `caddy scribegate keygen`")
	}
	return key, nil
}

// Verify tells whether a delivery is from the gateway, over the exact bytes of
// the body, as Standard Webhooks 1.0 says. One good signature of several is
// enough: while the secret is being changed the gateway signs with both.
func (k Key) Verify(h http.Header, body []byte, now time.Time) error {
	id, timestamp, signatures := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp"), h.Get("Webhook-Signature")
	if id == "" || timestamp == "" || signatures == "" {
		return ErrMissing
	}
	seconds, err := strconv.ParseInt(timestamp, 10, 64)
	if err != nil {
		return ErrTime
	}
	if age := now.Sub(time.Unix(seconds, 0)); age > Tolerance || age < -Tolerance {
		return ErrTime
	}

	mac := hmac.New(sha256.New, k)
	fmt.Fprintf(mac, "%s.%s.", id, timestamp)
	mac.Write(body)
	want := mac.Sum(nil)

	for signature := range strings.FieldsSeq(signatures) {
		encoded, ok := strings.CutPrefix(signature, "v1,")
		if !ok {
			continue
		}
		got, err := base64.StdEncoding.DecodeString(encoded)
		if err == nil && hmac.Equal(got, want) { // hmac.Equal takes the same time wherever they differ
			return nil
		}
	}
	return ErrMismatch
}
