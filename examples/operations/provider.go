package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

// A provider plays SOAPNoteAPI.
type provider struct {
	url    string
	secret string
	notes  int             // made so far
	api    *standin.Server // its REST API, which has the notes whose webhooks were rejected
}

// A capture is a request as it was sent, with its signature.
type capture struct {
	noteID               string
	signature, timestamp string
	body                 []byte
}

// A sample returns a synthetic payload for a note.
type sample func(noteID string, at time.Time) []byte

// send sends the event of a new note, and returns the request and the answer.
func (p *provider) send(ctx context.Context, payload sample) (capture, sender.Answer, error) {
	p.notes++
	now := time.Now()
	noteID := fmt.Sprintf("oncall-note-%d", p.notes)
	body := payload(noteID, now)
	request, err := sender.SOAPNoteAPI(ctx, p.url, p.secret, body, now)
	if err != nil {
		return capture{}, sender.Answer{}, err
	}
	header := request.Header
	answer, err := sender.Send(request)
	return capture{noteID, header.Get("X-SoapNoteAPI-Signature"), header.Get("X-SoapNoteAPI-Timestamp"), body}, answer, err
}

// accepted sends n notes, which must be accepted, and returns the ids of their events.
func (p *provider) accepted(ctx context.Context, n int, payload sample) ([]string, error) {
	var ids []string
	for range n {
		_, answer, err := p.send(ctx, payload)
		if err != nil {
			return nil, err
		}
		if answer.Status != http.StatusOK || answer.ID == "" || answer.Duplicate {
			return nil, fmt.Errorf("a genuine note was answered %+v", answer)
		}
		ids = append(ids, answer.ID)
	}
	return ids, nil
}

// rejected sends n notes, which must be rejected, and returns their requests.
func (p *provider) rejected(ctx context.Context, n int) ([]capture, error) {
	var all []capture
	for range n {
		request, answer, err := p.send(ctx, sender.NoteGenerated)
		if err != nil {
			return nil, err
		}
		if answer.Status != http.StatusUnauthorized {
			return nil, fmt.Errorf("a note signed with another secret was answered %+v", answer)
		}
		p.api.AddNote(standin.Note{ID: request.noteID})
		all = append(all, request)
	}
	return all, nil
}

// untilAccepted sends notes until one is accepted.
func (p *provider) untilAccepted(ctx context.Context) error {
	return poll(ctx, "an accepted note", func() (bool, error) {
		_, answer, err := p.send(ctx, sender.NoteGenerated)
		return answer.Status == http.StatusOK, err
	})
}

// save writes the body into a file.
func (c capture) save(file string) error {
	if err := os.WriteFile(file, c.body, 0o600); err != nil {
		return fmt.Errorf("saving the captured request: %w", err)
	}
	return nil
}
