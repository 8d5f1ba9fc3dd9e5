package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// A provider plays SOAPNoteAPI.
type provider struct {
	url    string
	secret string
	notes  int // made so far
}

// A capture is a request as it was sent, with its signature.
type capture struct {
	signature, timestamp string
	body                 []byte
}

// A sample returns a synthetic payload for a note.
type sample func(noteID string, at time.Time) []byte

// send sends the event of a new note, and returns the request and the answer.
func (p *provider) send(ctx context.Context, payload sample) (capture, sender.Answer, error) {
	p.notes++
	now := time.Now()
	body := payload(fmt.Sprintf("oncall-note-%d", p.notes), now)
	request, err := sender.SOAPNoteAPI(ctx, p.url, p.secret, body, now)
	if err != nil {
		return capture{}, sender.Answer{}, err
	}
	header := request.Header
	answer, err := sender.Send(request)
	return capture{header.Get("X-SoapNoteAPI-Signature"), header.Get("X-SoapNoteAPI-Timestamp"), body}, answer, err
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

// rejected sends n notes, which must be rejected, and returns the last request.
func (p *provider) rejected(ctx context.Context, n int) (last capture, err error) {
	for range n {
		var answer sender.Answer
		if last, answer, err = p.send(ctx, sender.NoteGenerated); err != nil {
			return last, err
		}
		if answer.Status != http.StatusUnauthorized {
			return last, fmt.Errorf("a note signed with another secret was answered %+v", answer)
		}
	}
	return last, nil
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
