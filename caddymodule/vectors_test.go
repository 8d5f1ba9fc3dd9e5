package caddymodule

import (
	"encoding/json"
	"net/http"
	"os"
	"testing"

	"github.com/scribegate/scribegate/verifier"
)

// The vectors that other implementations of the provider's formula agree on,
// through a running Caddy. They are old, so the handler takes anything of the
// last ten years.
func TestVectors(t *testing.T) {
	file, err := os.ReadFile("../verifier/testdata/soapnoteapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Name, Secret, Timestamp, Body, Signature string
		Verifies                                 bool
	}
	if err := json.Unmarshal(file, &vectors); err != nil || len(vectors) == 0 {
		t.Fatalf("%d vectors, %v", len(vectors), err)
	}
	s, b := newSite(t), newBackend(t)
	t.Setenv("VECTOR_SECRET", vectors[0].Secret)
	s.load(`
	scribegate {
		QUEUE
		dedupe_window 175200h
		upstream ehr `+b.URL+`
	}`, `
	scribegate soapnoteapi {
		secret {env.VECTOR_SECRET}
		tolerance 87600h
		deliver_to ehr
	}`)
	for _, v := range vectors {
		t.Run(v.Name, func(t *testing.T) {
			if v.Secret != vectors[0].Secret {
				t.Fatal("the vectors have several secrets; give each a handler")
			}
			r := s.soapnote("/", v.Body)
			r.Header.Set(verifier.TimestampHeader, v.Timestamp)
			r.Header.Set(verifier.SignatureHeader, v.Signature)
			before := rejections("soapnoteapi", verifier.SignatureMismatch)
			got := do(t, r)
			t.Logf("%s: %d %s", v.Name, got.status, got.body)
			switch {
			case v.Verifies && (got.status != http.StatusOK || got.id(t) != soapnoteID(v.Body)):
				t.Errorf("answer %d %s, want 200", got.status, got.body)
			case !v.Verifies && (got.status != http.StatusUnauthorized || rejections("soapnoteapi", verifier.SignatureMismatch) != before+1):
				t.Errorf("answer %d %s, want 401 for a mismatch", got.status, got.body)
			}
		})
	}
}
