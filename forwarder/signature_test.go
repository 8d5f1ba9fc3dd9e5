package forwarder

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// The vector that Standard Webhooks' own libraries are tested with.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTimestamp = 1614265330
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func mustKey(t testing.TB, secret string) SigningKey {
	t.Helper()
	key, err := ParseSigningSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSignVector(t *testing.T) {
	t.Parallel()
	key := mustKey(t, vectorSecret)
	got := Sign([]SigningKey{key}, vectorID, time.Unix(vectorTimestamp, 999_999_999), []byte(vectorBody))
	if got != vectorSignature {
		t.Errorf("Sign = %q, want %q", got, vectorSignature)
	}
}

func TestSignWithoutKeys(t *testing.T) {
	t.Parallel()
	if got := Sign(nil, vectorID, time.Unix(vectorTimestamp, 0), []byte(vectorBody)); got != "" {
		t.Errorf("Sign = %q, want nothing", got)
	}
}

// Every key of a rotation proves the message to a backend that knows only that one.
func TestSignaturesVerifyWithTheOfficialLibrary(t *testing.T) {
	t.Parallel()
	secrets := []string{
		vectorSecret,
		"whsec_" + strings.Repeat("AbC+/9", 8),
		"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==",
	}
	keys := make([]SigningKey, len(secrets))
	for i, secret := range secrets {
		keys[i] = mustKey(t, secret)
	}
	now := time.Now()
	body := []byte("{\"text\":\"\u00e9\u2028\"}")
	signature := Sign(keys, "soniox-1", now, body)
	if got := len(strings.Split(signature, " ")); got != len(keys) {
		t.Fatalf("%d signatures in %q, want %d", got, signature, len(keys))
	}
	header := http.Header{}
	header.Set("webhook-id", "soniox-1")
	header.Set("webhook-timestamp", strconv.FormatInt(now.Unix(), 10))
	header.Set("webhook-signature", signature)

	for i, secret := range secrets {
		official, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := official.Verify(body, header); err != nil {
			t.Errorf("secret %d: %v", i, err)
		}
		if err := official.Verify(append(body, ' '), header); err == nil {
			t.Errorf("secret %d proves another body", i)
		}
	}
}

func TestParseSigningSecret(t *testing.T) {
	t.Parallel()
	key := []byte("0123456789012345678901234567")
	tests := []struct {
		name, secret string
		ok           bool
	}{
		{"padded", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nw==", true},
		{"padding missing", "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nw", true},
		{"no prefix", "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nw==", false},
		{"prefix in capitals", "WHSEC_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nw==", false},
		{"no key", "whsec_", false},
		{"only padding", "whsec_==", false},
		{"empty", "", false},
		{"not base64", "whsec_not*base64", false},
		{"base64 for URLs", "whsec_-_-_", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := ParseSigningSecret(tt.secret)
			if tt.ok {
				if err != nil || !bytes.Equal(got, key) {
					t.Errorf("ParseSigningSecret = %q, %v", got, err)
				}
				return
			}
			if !errors.Is(err, ErrSigningSecret) {
				t.Fatalf("error = %v, want ErrSigningSecret", err)
			}
			if body := strings.TrimPrefix(tt.secret, "whsec_"); len(body) > 2 && strings.Contains(err.Error(), body) {
				t.Errorf("the error quotes the secret: %v", err)
			}
		})
	}
}
