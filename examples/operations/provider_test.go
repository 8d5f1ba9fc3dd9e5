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

// answering is a gateway that gives these answers, one after the other, and then
// the last one again and again.
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
	taken   = `{"received":true,"id":"soapnoteapi-1"}`
	again   = `{"received":true,"id":"soapnoteapi-1","duplicate":true}`
	refused = `{"error":"unauthorized"}`
)

func TestProviderFindsWhatIsAnswered(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answer            string
		accepted, refused bool
	}{
		"taken":   {taken, true, false},
		"again":   {again, false, false},
		"refused": {refused, false, true},
		"nothing": {"", false, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := answering(t, tt.answer)
			ids, err := p.accepted(t.Context(), 2, sender.NoteGenerated)
			if (err == nil) != tt.accepted || tt.accepted && len(ids) != 2 {
				t.Errorf("accepted() = %q, %v", ids, err)
			}
			last, err := p.refused(t.Context(), 2)
			if (err == nil) != tt.refused {
				t.Errorf("refused() = %v", err)
			}
			if tt.refused && (len(last.signature) != 64 || last.timestamp == "" || !strings.Contains(string(last.body), "night-note-3")) {
				t.Errorf("refused() = %+v, want the last request", last)
			}
		})
	}
}

func TestProviderTriesUntilItIsAccepted(t *testing.T) {
	t.Parallel()
	p := answering(t, refused, refused, taken)
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
		t.Error("it is saved below a file")
	}
}
