package recovery

import (
	"context"
	"errors"
	"net/http"

	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soapnoteapi"
	"github.com/scribegate/scribegate/verifier/event"
)

// SOAPNoteAPI recovers notes by hand: it fetches them and makes events of them.
type SOAPNoteAPI struct {
	API   NotesAPI
	Force bool // also the notes of which the store knows an event

	// New returns the event of a note.
	New func(noteID string, n soapnoteapi.Note) *event.Event

	// Known reports whether the store knows an event of the note.
	Known func(ctx context.Context, noteID string) (bool, error)

	// Take stores an event that was recovered, and reports whether it was new.
	Take func(ctx context.Context, e *event.Event) (bool, error)
}

// A NotesAPI is what is needed of SOAPNoteAPI's API. A soapnoteapi.Client is one.
type NotesAPI interface {
	Status(ctx context.Context, noteID string) (string, error)
	Note(ctx context.Context, noteID string) (soapnoteapi.Note, error)
}

var _ NotesAPI = soapnoteapi.Client{}

// The reasons for which a note cannot be recovered.
const (
	reasonUnknown = "SOAPNoteAPI does not know the note, or it has expired; check the id and api_key"
	reasonExpired = "the note has expired at SOAPNoteAPI"
	reasonFailed  = "the note has failed at SOAPNoteAPI: there is nothing to recover"
	reasonStatus  = "the note is not completed at SOAPNoteAPI; its status is "
)

// Recover stores the events of the notes. After an error that is the API's and not that of
// one note, the notes that are left fail with the same reason, without a request.
func (s SOAPNoteAPI) Recover(ctx context.Context, ids []string) (Result, error) {
	r := newResult()
	seen := make(map[string]bool, len(ids))
	away := ""
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		if away != "" {
			r.fail(id, away)
			continue
		}
		taken, reason, err := s.recover(ctx, id)
		switch {
		case ctx.Err() != nil:
			return r, ctx.Err()
		case err != nil:
			r.fail(id, err.Error())
			if rest.KindOf(err) != "" && isAPIs(err) {
				away = err.Error()
			}
		case reason != "":
			r.fail(id, reason)
		case taken:
			r.Recovered = append(r.Recovered, id)
		default:
			r.Known = append(r.Known, id)
		}
	}
	return r, nil
}

// recover recovers one note. reason is why that cannot be.
func (s SOAPNoteAPI) recover(ctx context.Context, id string) (taken bool, reason string, err error) {
	if !s.Force {
		if known, err := s.Known(ctx, id); err != nil || known {
			return false, "", err
		}
	}
	var n soapnoteapi.Note
	err = patiently(ctx, func() error {
		n, err = s.API.Note(ctx, id)
		return err
	})
	switch {
	case isMissing(err):
		return false, s.missing(ctx, id), nil
	case err != nil:
		return false, "", err
	}
	taken, err = s.Take(ctx, s.New(id, n))
	return taken, "", err
}

// isMissing reports whether the API has answered that it does not have the note now.
func isMissing(err error) bool {
	e, ok := errors.AsType[*rest.Error](err)
	if !ok {
		return false
	}
	switch e.Status {
	case http.StatusConflict, http.StatusGone, http.StatusUnprocessableEntity:
		return true
	}
	return e.Kind == rest.Unknown
}

// missing returns why the API has no such note, by the status of the note. What the API
// answers about a status is not documented, so it explains only.
func (s SOAPNoteAPI) missing(ctx context.Context, id string) string {
	var status string
	err := patiently(ctx, func() (err error) {
		status, err = s.API.Status(ctx, id)
		return err
	})
	switch {
	case err != nil, status == "":
		return reasonUnknown
	case status == "failed", status == "error":
		return reasonFailed
	case status == "expired", status == "completed":
		return reasonExpired
	}
	return reasonStatus + status
}
