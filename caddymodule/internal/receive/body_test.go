package receive

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/iotest"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// reasonOf returns the reason of a rejection, or "" for nil.
func reasonOf(t *testing.T, err error) verifier.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	rejection, ok := errors.AsType[*verifier.Rejection](err)
	if !ok {
		t.Fatalf("error %v is not a rejection", err)
	}
	return rejection.Reason
}

func TestCheck(t *testing.T) {
	t.Parallel()
	const maxBody = 100
	for name, tt := range map[string]struct {
		method    string
		encodings []string
		length    int64
		want      verifier.Reason
	}{
		"good":                  {method: "POST", length: maxBody},
		"of unknown length":     {method: "POST", length: -1},
		"identity":              {method: "POST", encodings: []string{"identity", " Identity , ,"}},
		"empty encoding":        {method: "POST", encodings: []string{""}},
		"another method":        {method: "PUT", want: verifier.Method},
		"gzip":                  {method: "POST", encodings: []string{"gzip"}, want: verifier.Encoding},
		"gzip after identity":   {method: "POST", encodings: []string{"identity, gzip"}, want: verifier.Encoding},
		"gzip in a second line": {method: "POST", encodings: []string{"identity", "gzip"}, want: verifier.Encoding},
		"too large":             {method: "POST", length: maxBody + 1, want: verifier.TooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequestWithContext(t.Context(), tt.method, "/", nil)
			r.Header["Content-Encoding"], r.ContentLength = tt.encodings, tt.length
			if got := reasonOf(t, Check(r, maxBody)); got != tt.want {
				t.Errorf("rejected for %q, want %q", got, tt.want)
			}
		})
	}
}

// A body is returned if it arrives completely, and all its room is returned in the end.
func TestReadAll(t *testing.T) {
	t.Parallel()
	const maxBody = 3 * FirstRead
	for name, tt := range map[string]struct {
		declared int64 // -1: not at all
		sent     int
		fails    error // after the last byte
		want     verifier.Reason
	}{
		"empty":                           {declared: 0},
		"empty, of unknown length":        {declared: -1},
		"small":                           {declared: 10, sent: 10},
		"as large as the first buffer":    {declared: FirstRead, sent: FirstRead},
		"one byte more":                   {declared: FirstRead + 1, sent: FirstRead + 1},
		"largest":                         {declared: maxBody, sent: maxBody},
		"largest, of unknown length":      {declared: -1, sent: maxBody},
		"too large, of unknown length":    {declared: -1, sent: maxBody + 1, want: verifier.TooLarge},
		"shorter than declared":           {declared: 10, sent: 9, want: verifier.Incomplete},
		"longer than declared":            {declared: 10, sent: 11, want: verifier.Incomplete},
		"broken off":                      {declared: 10, sent: 5, fails: io.ErrUnexpectedEOF, want: verifier.Incomplete},
		"broken off, in a wrapped EOF":    {declared: -1, sent: 5, fails: errors.Join(io.EOF), want: verifier.Incomplete},
		"cut off by a handler before":     {declared: -1, sent: 5, fails: &http.MaxBytesError{Limit: 5}, want: verifier.TooLarge},
		"a deadline in the second buffer": {declared: maxBody, sent: FirstRead + 1, fails: errors.New("timeout"), want: verifier.Incomplete},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := bytes.Repeat([]byte("x"), tt.sent)
			var from io.Reader = bytes.NewReader(content)
			if tt.fails != nil {
				from = io.MultiReader(from, iotest.ErrReader(tt.fails))
			}
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", from)
			r.ContentLength = tt.declared
			budget := NewBudget(UnverifiedParts)
			body := NewBody(r, budget)
			got, err := body.ReadAll(time.Now().Add(time.Minute), maxBody)
			if reason := reasonOf(t, err); reason != tt.want || err == nil && !bytes.Equal(got, content) {
				t.Errorf("%d bytes, rejected for %q, want %d and %q", len(got), reason, tt.sent, tt.want)
			}
			w := httptest.NewRecorder()
			body.CloseUnlessRead(w)
			if closes := Closes(w, r); closes != (tt.want != "" && !body.ended) || err == nil && closes {
				t.Errorf("the answer closes the connection: %v", closes)
			}
			body.Release()
			if budget.Free() != UnverifiedParts {
				t.Errorf("free are %v, want %v", budget.Free(), UnverifiedParts)
			}
		})
	}
}

func TestAnswerTo(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		`405 {"error":"method not allowed"}`:                  &verifier.Rejection{Reason: verifier.Method},
		`415 {"error":"unsupported content encoding"}`:        &verifier.Rejection{Reason: verifier.Encoding},
		`413 {"error":"body too large"}`:                      &verifier.Rejection{Reason: verifier.TooLarge},
		`408 {"error":"request timeout"}`:                     &verifier.Rejection{Reason: verifier.Incomplete},
		`503 {"error":"temporarily unavailable"}`:             &verifier.Rejection{Reason: verifier.Unavailable},
		`401 {"error":"unauthorized"}`:                        &verifier.Rejection{Reason: verifier.SignatureMismatch},
		`400 {"error":"invalid payload: note_id is missing"}`: &verifier.PayloadError{What: "note_id is missing"},
	} {
		w := httptest.NewRecorder()
		AnswerTo(err).Write(w)
		if got := w.Result().Status[:3] + " " + w.Body.String(); got != want || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%v is answered %s, want %s", err, got, want)
		}
		if got := w.Header().Get("Allow"); (got == http.MethodPost) != (w.Code == http.StatusMethodNotAllowed) {
			t.Errorf("%v: Allow is %q", err, got)
		}
		if got := w.Header().Get("Retry-After"); (got != "") != (w.Code == http.StatusServiceUnavailable) {
			t.Errorf("%v: Retry-After is %q", err, got)
		}
	}
}
