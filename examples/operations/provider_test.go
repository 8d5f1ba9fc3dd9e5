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
	"github.com/scribegate/scribegate/examples/providers/standin"
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
	api := standin.New(standin.Options{})
	t.Cleanup(api.Close)
	return &provider{url: server.URL, secret: "whsec_of_these_tests", api: api}
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
			requests, err := p.rejected(t.Context(), 2)
			if (err == nil) != tt.rejected {
				t.Errorf("rejected() = %v", err)
			}
			if !tt.rejected {
				return
			}
			if len(requests) != 2 {
				t.Fatalf("rejected() = %+v, want two requests", requests)
			}
			last := requests[1]
			if len(last.signature) != 64 || last.timestamp == "" || last.noteID != "oncall-note-3" || !strings.Contains(string(last.body), last.noteID) {
				t.Errorf("the last request = %+v", last)
			}
			r, w := httptest.NewRequest(http.MethodGet, "/v1/note/oncall-note-3", http.NoBody), httptest.NewRecorder()
			r.Header.Set("Authorization", "Bearer "+standin.SOAPNoteKey)
			if p.api.ServeHTTP(w, r); w.Code != http.StatusOK {
				t.Errorf("the API answered %d for the note, want 200", w.Code)
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
