package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// The upstreams of demo.caddyfile: ehr receives all events except test events, audit
// receives all.
const (
	ehr   = "ehr"
	audit = "audit"
)

// A step is a request of a provider, and the expected answer and deliveries.
type step struct {
	provider  string
	what      string
	path      string // with the query string
	body      []byte
	sign      signer
	status    int
	duplicate bool     // whether it repeats an earlier request
	upstreams []string // that should receive the event because of this step
}

// A signer returns a provider's request with a body.
type signer func(ctx context.Context, url string, body []byte) (*http.Request, error)

func soapnoteapi(secret string, at time.Time) signer {
	return func(ctx context.Context, url string, body []byte) (*http.Request, error) {
		return sender.SOAPNoteAPI(ctx, url, secret, body, at)
	}
}

func soniox(secret string) signer {
	return func(ctx context.Context, url string, body []byte) (*http.Request, error) {
		return sender.Soniox(ctx, url, "Authorization", "Bearer "+secret, body)
	}
}

// steps returns the steps of the demonstration. The secrets are those of the providers.
func steps(soapnoteSecret, sonioxSecret string, now time.Time) []step {
	genuine, forged := soapnoteapi(soapnoteSecret, now), soapnoteapi("whsec_of_somebody_else", now)
	note := sender.NoteGenerated("demo-note-1", now)
	both := []string{ehr, audit}
	return []step{
		{
			provider: "SOAPNoteAPI", what: "note.generated, a finished note",
			path: "/soapnote?clinic=7", body: note, sign: genuine, status: 200, upstreams: both,
		},
		{
			provider: "SOAPNoteAPI", what: "note.failed, a note that could not be generated",
			path: "/soapnote?clinic=7", body: sender.NoteFailed("demo-note-2", now), sign: genuine, status: 200, upstreams: both,
		},
		{
			provider: "SOAPNoteAPI", what: "test, from the button in its dashboard; only " + audit + " receives these",
			path: "/soapnote", body: sender.NoteTest(now), sign: genuine, status: 200, upstreams: []string{audit},
		},
		{
			provider: "Soniox", what: "transcription.completed, with the job's own query parameters",
			path: "/soniox?user_id=123&order_id=456", body: sender.Transcription("73d4357d-cad2-4338-a60d-ec6f2044f721", "completed"),
			sign: soniox(sonioxSecret), status: 200, upstreams: both,
		},
		{
			provider: "a forger", what: "note.generated, signed with another secret",
			path: "/soapnote", body: sender.NoteGenerated("demo-note-3", now), sign: forged, status: 401,
		},
		{
			provider: "a forger", what: "transcription.completed, with a guessed header",
			path: "/soniox", body: sender.Transcription("00000000-0000-0000-0000-000000000000", "completed"),
			sign: soniox("guessed"), status: 401,
		},
		{
			provider: "somebody", what: "the first request once more, byte for byte",
			path: "/soapnote?clinic=7", body: note, sign: genuine, status: 200, duplicate: true,
		},
	}
}

// check returns an error if an answer is not as expected. ids are the ids of the events
// that were accepted before.
func (s step) check(a sender.Answer, ids []string) error {
	switch {
	case a.Status != s.status:
		return fmt.Errorf("the gateway should have answered %d", s.status)
	case s.status != http.StatusOK && (a.Received || a.ID != ""):
		return errors.New("the gateway should not have accepted it")
	case s.status != http.StatusOK:
		return nil
	case !a.Received || a.ID == "":
		return errors.New("the gateway should have returned the event's id")
	case a.Duplicate != s.duplicate:
		return fmt.Errorf("duplicate should have been %v", s.duplicate)
	case slices.Contains(ids, a.ID) != s.duplicate:
		return fmt.Errorf("whether the id was used before should have been %v", s.duplicate)
	}
	return nil
}
