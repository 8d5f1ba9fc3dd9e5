package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// answering returns a provider for a gateway that returns these answers one after the
// other, and then always the last one.
func answering(t *testing.T, answers ...string) *provider {
	t.Helper()
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer := answers[min(n, len(answers)-1)]
		n++
		if strings.Contains(answer, "error") {
			w.WriteHeader(http.StatusUnauthorized)
		}
		io.WriteString(w, answer)
	}))
	t.Cleanup(server.Close)
	return &provider{url: server.URL, secret: "whsec_of_these_tests"}
}

const (
	accepted  = `{"received":true,"id":"soapnoteapi-1"}`
	duplicate = `{"received":true,"id":"soapnoteapi-1","duplicate":true}`
	rejected  = `{"error":"unauthorized"}`
)

func TestProviderChecksTheAnswers(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer             string
		accepted, rejected bool
	}{
		"accepted":  {accepted, true, false},
		"duplicate": {duplicate, false, false},
		"rejected":  {rejected, false, true},
		"empty":     {"", false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := answering(t, tt.answer)
			ids, err := p.accepted(t.Context(), 2, sender.NoteGenerated)
			if (err == nil) != tt.accepted || tt.accepted && len(ids) != 2 {
				t.Errorf("accepted() = %q, %v", ids, err)
			}
			last, err := p.rejected(t.Context(), 2)
			if (err == nil) != tt.rejected {
				t.Errorf("rejected() = %v", err)
			}
			if tt.rejected && (len(last.signature) != 64 || last.timestamp == "" || !strings.Contains(string(last.body), "oncall-note-3")) {
				t.Errorf("rejected() = %+v, want the last request", last)
			}
		})
	}
}

func TestProviderTriesUntilItIsAccepted(t *testing.T) {
	t.Parallel()
	p := answering(t, rejected, rejected, accepted)
	if err := p.untilAccepted(t.Context()); err != nil || p.notes != 3 {
		t.Errorf("untilAccepted() = %v after %d notes, want 3", err, p.notes)
	}
}

func TestCaptureIsSaved(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "body.json")
	c := capture{body: []byte("{}")}
	if err := c.save(file); err != nil {
		t.Fatal(err)
	}
	if got, _ := os.ReadFile(file); string(got) != "{}" {
		t.Errorf("saved %q", got)
	}
	if err := c.save(filepath.Join(file, "below")); err == nil {
		t.Error("save() below a file = nil")
	}
}
