package standin

import (
	"context"
	"encoding/json"
	"fmt"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// A Note is a note at SOAPNoteAPI.
type Note struct {
	ID        string    // default: a new one
	Status    string    // default: Completed; the others that the stand-in knows are processing and failed
	CreatedAt time.Time // default: now
	ExpiresAt time.Time // default: a day after CreatedAt

	// Data is the note, as in the webhook's data. The default is a synthetic note.
	Data json.RawMessage
}

// AddNote adds a note, or replaces the one of the same id. It returns the id. It sends no
// webhook.
func (s *Server) AddNote(n Note) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addNote(n).ID
}

// addNote adds a note. s.mu is locked.
func (s *Server) addNote(n Note) *Note {
	const day = 24 * time.Hour
	if n.ID == "" {
		n.ID = "note_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	}
	if n.Status == "" {
		n.Status = Completed
	}
	if n.CreatedAt.IsZero() {
		n.CreatedAt = s.options.Now()
	}
	if n.ExpiresAt.IsZero() {
		n.ExpiresAt = n.CreatedAt.Add(day)
	}
	if n.Data == nil {
		var webhook struct {
			Data json.RawMessage `json:"data"`
		}
		if err := json.Unmarshal(sender.NoteGenerated(n.ID, n.ExpiresAt.Add(-day)), &webhook); err != nil {
			panic(err) // the sample is always valid
		}
		n.Data = webhook.Data
	}
	s.notes[n.ID] = &n
	return &n
}

// SendNote sends the webhook of a note to Options.NoteWebhook: note.generated for a
// completed note, else note.failed. Like SOAPNoteAPI it sends it once, whatever the
// answer. It returns the status of the answer.
func (s *Server) SendNote(ctx context.Context, id string) (int, error) {
	s.mu.Lock()
	n, ok := s.notes[id]
	if !ok {
		s.mu.Unlock()
		return 0, fmt.Errorf("the stand-in has no note %s", id)
	}
	note := *n
	s.mu.Unlock()

	now := s.options.Now()
	body := sender.NoteFailed(note.ID, now)
	if strings.EqualFold(note.Status, Completed) {
		body = encode(struct {
			Event     string          `json:"event"`
			NoteID    string          `json:"note_id"`
			Status    string          `json:"status"`
			CreatedAt string          `json:"created_at"`
			Data      json.RawMessage `json:"data"`
		}{"note.generated", note.ID, Completed, now.UTC().Format("2006-01-02T15:04:05.000Z"), note.Data})
	}
	request, err := sender.SOAPNoteAPI(ctx, s.options.NoteWebhook, s.options.NoteSecret, body, now)
	if err != nil {
		return 0, err
	}
	return s.send(request)
}

// soapnote returns an endpoint of SOAPNoteAPI, which checks the key of the request first.
func (s *Server) soapnote(e endpoint) endpoint {
	return func(r *http.Request) answer {
		if key := bearer(r); key == "" || !slices.Contains(s.options.SOAPNoteKeys, key) {
			return noteError(http.StatusUnauthorized, "UNAUTHORIZED", "The API key is missing or wrong.")
		}
		return e(r)
	}
}

func (s *Server) getNoteStatus(r *http.Request) answer {
	n, failed := s.findNote(r)
	if failed != nil {
		return *failed
	}
	return jsonAnswer(http.StatusOK, noteStatus{n.ID, n.Status})
}

func (s *Server) getNote(r *http.Request) answer {
	n, failed := s.findNote(r)
	switch {
	case failed != nil:
		return *failed
	case !strings.EqualFold(n.Status, Completed):
		return noteError(http.StatusNotFound, "NOT_FOUND", "The note is not completed.")
	}
	return answer{http.StatusOK, n.Data}
}

type noteStatus struct {
	NoteID string `json:"noteId"`
	Status string `json:"status"`
}

// findNote returns the note that a request names, unless it has expired.
func (s *Server) findNote(r *http.Request) (Note, *answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, ok := s.notes[r.PathValue("id")]
	if !ok || !s.options.Now().Before(n.ExpiresAt) {
		a := noteError(http.StatusNotFound, "NOT_FOUND", "There is no note with this id, or it has expired.")
		return Note{}, &a
	}
	return *n, nil
}

// uploadAudio creates a note. A file whose name contains "fail" makes it fail.
func (s *Server) uploadAudio(r *http.Request) answer {
	var name string
	var hasAudio bool
	err := eachPart(r, func(part *multipart.Part) error {
		if part.FormName() == "audio" {
			hasAudio, name = true, part.FileName()
		}
		return nil
	})
	if err != nil || !hasAudio {
		return noteError(http.StatusBadRequest, "INVALID_REQUEST", "The body is not multipart/form-data with a part audio.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.addNote(Note{Status: Processing})
	created := jsonAnswer(http.StatusAccepted, noteStatus{n.ID, n.Status})
	s.jobs.Go(func() { s.processNote(n, strings.Contains(name, "fail")) })
	return created
}

// processNote finishes a note that was created over the API, and sends its webhook.
func (s *Server) processNote(n *Note, fails bool) {
	if !sleep(s.ctx, s.options.ProcessingDelay) {
		return
	}
	s.mu.Lock()
	n.Status = Completed
	if fails {
		n.Status = "failed"
	}
	s.mu.Unlock()
	if s.options.NoteWebhook == "" {
		return
	}
	status, err := s.SendNote(s.ctx, n.ID)
	if err != nil {
		s.options.Log("webhook of note %s: %v", n.ID, err)
		return
	}
	s.options.Log("webhook of note %s: %d", n.ID, status)
}
