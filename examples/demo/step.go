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

// sonioxHook is the path of the webhook at which Soniox's transcription is announced, with
// the query parameters of the job.
const sonioxHook = "/soniox?user_id=123&order_id=456"

// A step is a request to the gateway, and the expected answer and deliveries. The request
// of a job goes to Soniox, which sends the webhook to the gateway.
type step struct {
	from      string
	what      string
	path      string // with the query string
	body      []byte
	sign      signer
	status    int
	job       string   // the webhook's path, if the request creates a transcription at Soniox
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

// secrets are the providers' webhook secrets, and the key of Soniox's API.
type secrets struct {
	soapnote, soniox, sonioxKey string
}

// steps returns the steps of the demonstration for the gateway at a URL.
func steps(gateway string, s secrets, now time.Time) []step {
	genuine, forged := soapnoteapi(s.soapnote, now), soapnoteapi("whsec_of_somebody_else", now)
	note := sender.NoteGenerated("demo-note-1", now)
	both := []string{ehr, audit}
	return []step{
		{
			from: "SOAPNoteAPI", what: "note.generated, a finished note",
			path: "/soapnote?clinic=7", body: note, sign: genuine, status: 200, upstreams: both,
		},
		{
			from: "SOAPNoteAPI", what: "note.failed, a note that could not be generated",
			path: "/soapnote?clinic=7", body: sender.NoteFailed("demo-note-2", now), sign: genuine, status: 200, upstreams: both,
		},
		{
			from: "SOAPNoteAPI", what: "test, from the button in its dashboard; only " + audit + " receives these",
			path: "/soapnote", body: sender.NoteTest(now), sign: genuine, status: 200, upstreams: []string{audit},
		},
		{
			from: "your application", what: "a job to Soniox, whose webhook has the job's own query parameters",
			path: "/v1/transcriptions", body: job(gateway+sonioxHook, s.soniox), job: sonioxHook,
			sign: soniox(s.sonioxKey), status: 201, upstreams: both,
		},
		{
			from: "a forger", what: "note.generated, signed with another secret",
			path: "/soapnote", body: sender.NoteGenerated("demo-note-3", now), sign: forged, status: 401,
		},
		{
			from: "a forger", what: "transcription.completed, with a guessed header",
			path: "/soniox", body: sender.Transcription("00000000-0000-0000-0000-000000000000", "completed"),
			sign: soniox("guessed"), status: 401,
		},
		{
			from: "somebody", what: "the first request once more, byte for byte",
			path: "/soapnote?clinic=7", body: note, sign: genuine, status: 200, duplicate: true,
		},
	}
}

// check returns an error if an answer is not as expected. ids are the ids of the events
// that were accepted before.
func (s step) check(a sender.Answer, ids []string) error {
	switch {
	case s.job != "" && (a.Status != s.status || a.ID == ""):
		return fmt.Errorf("the API should have answered %d, with the transcription's id", s.status)
	case s.job != "":
		return nil
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
