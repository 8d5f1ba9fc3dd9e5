package verifier_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

const (
	secret      = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	otherSecret = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
	noteBody    = `{"event":"note.generated","note_id":"a1b2c3d4","status":"completed",` +
		`"created_at":"2026-03-19T15:30:00.000Z","data":{"plan":"rest","expires_at":"2026-03-20T15:30:00.000Z"}}`
)

// now is within a second, so that a comparison in less than whole seconds
// fails the tests of the tolerance.
var now = time.Unix(1773934200, 750_000_000)

const nowText = "1773934200"

func list(values ...string) func() []string { return func() []string { return values } }

func soapNoteAPI(secrets ...string) verifier.SOAPNoteAPI {
	return verifier.SOAPNoteAPI{Secrets: list(secrets...), Tolerance: 5 * time.Minute}
}

// mac is the provider's formula in words of its own.
func mac(key, message string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(message))
	return hex.EncodeToString(h.Sum(nil))
}

// header makes a header by the names that a server would store.
func header(pairs ...string) http.Header {
	h := http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		h.Add(pairs[i], pairs[i+1])
	}
	return h
}

func signed(signature, timestamp string) http.Header {
	return header(verifier.SignatureHeader, signature, verifier.TimestampHeader, timestamp)
}

// verify runs a request through both halves of the proof.
func verify(p verifier.Provider, h http.Header, body string) (int, error) {
	proof, err := p.CheckHeader(h, now)
	if err != nil {
		return -1, err
	}
	return proof.Verify([]byte(body))
}

func reason(t *testing.T, err error) verifier.Reason {
	t.Helper()
	if err == nil {
		return "accepted"
	}
	rejection, ok := errors.AsType[*verifier.Rejection](err)
	if !ok {
		t.Fatalf("the error is %T, want a *Rejection", err)
	}
	if want := "request rejected: " + string(rejection.Reason); err.Error() != want {
		t.Errorf("the error reads %q, want %q", err, want)
	}
	return rejection.Reason
}
