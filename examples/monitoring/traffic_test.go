//go:build examples

package monitoring_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

// traffic sends requests of every kind. Two rounds share no event, so that both change
// the counters in the same way.
type traffic struct {
	site  *site
	round string
}

// send sends genuine and forged requests, and checks the status of each answer.
func (tr traffic) send(ctx context.Context, t *testing.T) {
	t.Helper()
	now := time.Now()
	for i := range 6 {
		tr.note(ctx, t, newSecret, sender.NoteGenerated(fmt.Sprint(tr.round, "-", i), now), now, http.StatusOK)
	}
	again := sender.NoteGenerated(tr.round+"-again", now)
	tr.note(ctx, t, newSecret, again, now, http.StatusOK)
	tr.note(ctx, t, newSecret, again, now, http.StatusOK) // the duplicate
	tr.note(ctx, t, oldSecret, sender.NoteFailed(tr.round+"-failed", now), now, http.StatusOK)
	tr.note(ctx, t, newSecret, sender.NoteTest(now), now, http.StatusOK)
	tr.note(ctx, t, newSecret, fmt.Appendf(nil, `{"event":"note.signed","note_id":%q,"status":"signed","created_at":"2026-03-19T15:30:00Z"}`, tr.round), now, http.StatusOK)

	tr.noteTo(ctx, t, "/strict", newSecret, sender.NoteFailed(tr.round+"-dropped", now), now, http.StatusOK)
	unrouted := fmt.Appendf(nil, `{"event":"note.signed","note_id":"%s-unrouted","status":"signed","created_at":"2026-03-19T15:30:00Z"}`, tr.round)
	tr.noteTo(ctx, t, "/strict", newSecret, unrouted, now, http.StatusOK)
	tr.noteTo(ctx, t, "/checkpoint", newSecret, sender.NoteGenerated(tr.round+"-passed", now), now, http.StatusNoContent)

	tr.note(ctx, t, otherSecret, sender.NoteGenerated("forged", now), now, http.StatusUnauthorized)
	tr.note(ctx, t, newSecret, sender.NoteGenerated("stale", now), now.Add(-time.Hour), http.StatusUnauthorized)
	tr.note(ctx, t, newSecret, fmt.Appendf(nil, `{"round":%q}`, tr.round), now, http.StatusBadRequest) // quarantined
	tr.bare(ctx, t, http.MethodPost, http.StatusUnauthorized)
	tr.bare(ctx, t, http.MethodGet, http.StatusMethodNotAllowed)

	for _, status := range []string{standin.Completed, standin.Failed} {
		id := tr.site.soniox.AddTranscription(standin.Transcription{Status: status})
		tr.transcription(ctx, t, "Bearer "+sonioxSecret, sender.Transcription(id, status), http.StatusOK)
	}
	tr.transcription(ctx, t, "Bearer guessed", sender.Transcription("forged", "completed"), http.StatusUnauthorized)
	tr.transcription(ctx, t, "", sender.Transcription("forged", "completed"), http.StatusUnauthorized)
}

// note sends a request as SOAPNoteAPI does, signed with secret at the time at.
func (tr traffic) note(ctx context.Context, t *testing.T, secret string, body []byte, at time.Time, want int) {
	t.Helper()
	tr.noteTo(ctx, t, "/soapnote", secret, body, at, want)
}

// noteTo sends such a request to another handler.
func (tr traffic) noteTo(ctx context.Context, t *testing.T, path, secret string, body []byte, at time.Time, want int) {
	t.Helper()
	request, err := sender.SOAPNoteAPI(ctx, tr.site.url+path, secret, body, at)
	expect(t, request, err, want)
}

// transcription sends a request as Soniox does.
func (tr traffic) transcription(ctx context.Context, t *testing.T, header string, body []byte, want int) {
	t.Helper()
	request, err := sender.Soniox(ctx, tr.site.url+"/soniox", "Authorization", header, body)
	expect(t, request, err, want)
}

// bare sends a request without a signature.
func (tr traffic) bare(ctx context.Context, t *testing.T, method string, want int) {
	t.Helper()
	request, err := http.NewRequestWithContext(ctx, method, tr.site.url+"/soapnote", strings.NewReader("{}"))
	expect(t, request, err, want)
}

func expect(t *testing.T, request *http.Request, err error, want int) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	answer, err := sender.Send(request)
	if err != nil {
		t.Fatal(err)
	}
	if answer.Status != want {
		t.Fatalf("%s %s is answered %+v, want %d", request.Method, request.URL.Path, answer, want)
	}
}
