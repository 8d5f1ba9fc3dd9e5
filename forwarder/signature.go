package forwarder

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// A SigningKey is the key of a Standard Webhooks signing secret.
type SigningKey []byte

// ErrSigningSecret is the error of a signing secret that is not one of Standard
// Webhooks. Its text never quotes the secret.
var ErrSigningSecret = errors.New(
	`reading a signing secret: it must be "whsec_" followed by the key in base64; "caddy scribegate keygen" makes one`)

const signingSecretPrefix = "whsec_"

// ParseSigningSecret returns the key of a signing secret of Standard Webhooks 1.0:
// "whsec_" and the key in standard base64, with or without padding. It returns
// ErrSigningSecret for anything else.
func ParseSigningSecret(s string) (SigningKey, error) {
	encoded, found := strings.CutPrefix(s, signingSecretPrefix)
	if !found {
		return nil, ErrSigningSecret
	}
	key, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(encoded, "="))
	if err != nil || len(key) == 0 {
		return nil, ErrSigningSecret
	}
	return key, nil
}

// Sign returns the webhook-signature of a message, as Standard Webhooks 1.0
// defines it: one "v1,<base64 of HMAC-SHA256>" for each key, in order, separated
// by spaces. The timestamp is cut to whole seconds. Without keys the signature is
// empty.
func Sign(keys []SigningKey, id string, timestamp time.Time, body []byte) string {
	if len(keys) == 0 {
		return ""
	}
	var room [128]byte
	prefix := append(append(room[:0], id...), '.')
	prefix = append(strconv.AppendInt(prefix, timestamp.Unix(), 10), '.')

	signature := make([]byte, 0, len(keys)*(len(" v1,")+base64.StdEncoding.EncodedLen(sha256.Size)))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		_, _ = mac.Write(prefix) // a hash returns no error
		_, _ = mac.Write(body)
		if i > 0 {
			signature = append(signature, ' ')
		}
		signature = append(signature, "v1,"...)
		signature = base64.StdEncoding.AppendEncode(signature, mac.Sum(nil))
	}
	return string(signature)
}
