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

// Tolerance is the maximum difference between a delivery's timestamp and now, in
// both directions. The gateway signs every attempt again, so late retries pass.
const Tolerance = 5 * time.Minute

// The reasons why Verify rejects a delivery.
var (
	ErrMissing  = errors.New("webhook-id, webhook-timestamp or webhook-signature is missing")
	ErrTime     = errors.New("webhook-timestamp is not within five minutes of now: compare the clocks of the gateway and the backend")
	ErrMismatch = errors.New("no webhook-signature matches: compare signing_secret with SCRIBEGATE_SIGNING_SECRET")
)

// A Key is the key in a signing secret.
type Key []byte

// ParseSecret returns the key in a signing secret as `caddy scribegate keygen`
// prints it: whsec_ and then base64. An empty secret is an error, since a backend
// without a key could not reject anybody.
func ParseSecret(secret string) (Key, error) {
	encoded, ok := strings.CutPrefix(secret, "whsec_")
	if !ok {
		return nil, errors.New("reading the signing secret: it must start with whsec_; set SCRIBEGATE_SIGNING_SECRET to the gateway's signing_secret")
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("reading the signing secret: the part after whsec_ must be base64; copy the whole signing_secret of the gateway")
	}
	if len(key) == 0 {
		return nil, errors.New("reading the signing secret: it is empty after whsec_; make a new one with `caddy scribegate keygen`")
	}
	return key, nil
}

// Verify returns nil if a delivery is from the gateway, and ErrMissing, ErrTime or
// ErrMismatch otherwise. It follows Standard Webhooks 1.0; body must be the exact
// bytes of the request. One valid signature is enough: while the secret is rotated,
// the gateway signs with the old and the new one.
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
		if err == nil && hmac.Equal(got, want) { // hmac.Equal is a constant-time comparison
			return nil
		}
	}
	return ErrMismatch
}
