package receive

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The example in the Standard Webhooks specification.
const (
	vectorSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorTimestamp = 1614265330
	vectorBody      = `{"test": 2432232314}`
	vectorSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
)

func vectorKey(t *testing.T) Key {
	t.Helper()
	key, err := ParseSecret(vectorSecret)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func vectorHeader() http.Header {
	h := http.Header{}
	h.Set("webhook-id", vectorID)
	h.Set("webhook-timestamp", strconv.Itoa(vectorTimestamp))
	h.Set("webhook-signature", vectorSignature)
	return h
}

func TestVerify(t *testing.T) {
	t.Parallel()
	wrong := "v1," + strings.Repeat("A", 43) + "="
	tests := map[string]struct {
		change func(http.Header)
		body   string
		age    time.Duration
		want   error
	}{
		"as in the specification":           {},
		"at the end of the tolerance":       {age: 5 * time.Minute},
		"a clock behind, just inside":       {age: -5 * time.Minute},
		"a second too old":                  {age: 5*time.Minute + time.Second, want: ErrTime},
		"a second too new":                  {age: -5*time.Minute - time.Second, want: ErrTime},
		"a changed body":                    {body: `{"test": 2432232315}`, want: ErrMismatch},
		"a reserialized body":               {body: `{"test":2432232314}`, want: ErrMismatch},
		"no id":                             {change: func(h http.Header) { h.Del("webhook-id") }, want: ErrMissing},
		"no timestamp":                      {change: func(h http.Header) { h.Del("webhook-timestamp") }, want: ErrMissing},
		"no signature":                      {change: func(h http.Header) { h.Del("webhook-signature") }, want: ErrMissing},
		"an empty signature":                {change: func(h http.Header) { h.Set("webhook-signature", "") }, want: ErrMissing},
		"another id":                        {change: func(h http.Header) { h.Set("webhook-id", "msg_other") }, want: ErrMismatch},
		"a timestamp in words":              {change: func(h http.Header) { h.Set("webhook-timestamp", "now") }, want: ErrTime},
		"another timestamp":                 {change: func(h http.Header) { h.Set("webhook-timestamp", "1614265331") }, want: ErrMismatch},
		"the second of two signatures":      {change: func(h http.Header) { h.Set("webhook-signature", wrong+" "+vectorSignature) }},
		"the first of two signatures":       {change: func(h http.Header) { h.Set("webhook-signature", vectorSignature+" "+wrong) }},
		"two wrong signatures":              {change: func(h http.Header) { h.Set("webhook-signature", wrong+" "+wrong) }, want: ErrMismatch},
		"another version's signature":       {change: func(h http.Header) { h.Set("webhook-signature", "v1a"+vectorSignature[2:]) }, want: ErrMismatch},
		"a signature without its version":   {change: func(h http.Header) { h.Set("webhook-signature", vectorSignature[3:]) }, want: ErrMismatch},
		"a truncated signature":             {change: func(h http.Header) { h.Set("webhook-signature", vectorSignature[:20]) }, want: ErrMismatch},
		"an empty v1 signature":             {change: func(h http.Header) { h.Set("webhook-signature", "v1,") }, want: ErrMismatch},
		"a signature that is not in base64": {change: func(h http.Header) { h.Set("webhook-signature", "v1,!") }, want: ErrMismatch},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, body := vectorHeader(), vectorBody
			if tt.change != nil {
				tt.change(h)
			}
			if tt.body != "" {
				body = tt.body
			}
			err := vectorKey(t).Verify(h, []byte(body), time.Unix(vectorTimestamp, 0).Add(tt.age))
			if !errors.Is(err, tt.want) {
				t.Errorf("Verify() = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestVerifyWithAnotherKey(t *testing.T) {
	t.Parallel()
	key, err := ParseSecret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")
	if err != nil {
		t.Fatal(err)
	}
	if err := key.Verify(vectorHeader(), []byte(vectorBody), time.Unix(vectorTimestamp, 0)); !errors.Is(err, ErrMismatch) {
		t.Errorf("Verify() = %v, want %v", err, ErrMismatch)
	}
}

func TestParseSecretRejects(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"nothing":       "",
		"no prefix":     "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
		"an empty key":  "whsec_",
		"not base64":    "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
		"a placeholder": "{env.SCRIBEGATE_SIGNING_SECRET}",
	}
	for name, secret := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			key, err := ParseSecret(secret)
			if err == nil {
				t.Fatalf("ParseSecret() = %d bytes, want an error", len(key))
			}
			if len(secret) > len("whsec_") && strings.Contains(err.Error(), secret[len("whsec_"):]) {
				t.Error("the error quotes the secret")
			}
		})
	}
}
