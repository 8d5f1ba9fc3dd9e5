package standin

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// The statuses of a transcription.
const (
	Queued     = "queued"
	Processing = "processing"
	Completed  = "completed"
	Failed     = "error"
)

// A Transcription is a transcription at Soniox. The zero value of a member is null in the
// API, if the API has it.
type Transcription struct {
	ID        string // a UUID; default: a new one
	Project   string
	Status    string    // default: Completed
	CreatedAt time.Time // default: now
	Model     string    // default: stt-async-v4
	Filename  string    // default: the name in AudioURL or that of the file; else visit.wav
	AudioURL  string
	FileID    string

	LanguageHints          []string
	SpeakerDiarization     bool
	LanguageIdentification bool
	TranslateTo            string // the target language of a one-way translation
	Context                json.RawMessage
	ClientReferenceID      string

	AudioDurationMS int64
	ErrorType       string
	ErrorMessage    string

	WebhookURL             string
	WebhookAuthHeaderName  string
	WebhookAuthHeaderValue string
	WebhookStatusCode      int // what our endpoint answered

	// Transcript is the body of the transcript's answer. The default is a short dictation.
	Transcript []byte
}

// AddTranscription adds a transcription, or replaces the one of the same id. It returns
// the id. It sends no webhook, and the status stays as it is. It panics if the id is not a
// UUID, since Soniox has no other ids.
func (s *Server) AddTranscription(t Transcription) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.Status == "" {
		t.Status = Completed
	}
	if t.Status == Completed && t.AudioDurationMS == 0 {
		t.AudioDurationMS = dictationMS
	}
	return s.addTranscription(t).ID
}

// addTranscription adds a transcription. s.mu is locked.
func (s *Server) addTranscription(t Transcription) *Transcription {
	t.ID = mustID(t.ID)
	if t.CreatedAt.IsZero() {
		t.CreatedAt = s.options.Now()
	}
	if t.Model == "" {
		t.Model = "stt-async-v4"
	}
	if t.Filename == "" {
		t.Filename = s.filename(t)
	}
	s.transcriptions[t.ID] = &t
	return &t
}

func (s *Server) filename(t Transcription) string {
	if f, ok := s.files[t.FileID]; ok {
		return f.Filename
	}
	location, _, _ := strings.Cut(t.AudioURL, "?")
	if name := location[strings.LastIndexByte(location, '/')+1:]; name != "" {
		return name
	}
	return "visit.wav"
}

// Transcription returns a transcription, and whether it is there.
func (s *Server) Transcription(id string) (Transcription, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, ok := s.transcriptions[id]
	if !ok {
		return Transcription{}, false
	}
	return *t, true
}

type transcriptionJSON struct {
	ID                     string          `json:"id"`
	Status                 string          `json:"status"`
	CreatedAt              string          `json:"created_at"`
	Model                  string          `json:"model"`
	AudioURL               *string         `json:"audio_url"`
	FileID                 *string         `json:"file_id"`
	Filename               string          `json:"filename"`
	LanguageHints          []string        `json:"language_hints"`
	SpeakerDiarization     bool            `json:"enable_speaker_diarization"`
	LanguageIdentification bool            `json:"enable_language_identification"`
	AudioDurationMS        *int64          `json:"audio_duration_ms"`
	ErrorType              *string         `json:"error_type"`
	ErrorMessage           *string         `json:"error_message"`
	WebhookURL             *string         `json:"webhook_url"`
	WebhookAuthHeaderName  *string         `json:"webhook_auth_header_name"`
	WebhookAuthHeaderValue *string         `json:"webhook_auth_header_value"`
	WebhookStatusCode      *int            `json:"webhook_status_code"`
	ClientReferenceID      *string         `json:"client_reference_id"`
	Context                json.RawMessage `json:"context"`
}

func (t *Transcription) json() transcriptionJSON {
	masked := ""
	if t.WebhookAuthHeaderValue != "" {
		masked = strings.Repeat("*", 18)
	}
	return transcriptionJSON{
		ID: t.ID, Status: t.Status, CreatedAt: timestamp(t.CreatedAt), Model: t.Model,
		AudioURL: orNull(t.AudioURL), FileID: orNull(t.FileID), Filename: t.Filename,
		LanguageHints: t.LanguageHints, SpeakerDiarization: t.SpeakerDiarization, LanguageIdentification: t.LanguageIdentification,
		AudioDurationMS: orNull(t.AudioDurationMS), ErrorType: orNull(t.ErrorType), ErrorMessage: orNull(t.ErrorMessage),
		WebhookURL: orNull(t.WebhookURL), WebhookAuthHeaderName: orNull(t.WebhookAuthHeaderName), WebhookAuthHeaderValue: orNull(masked),
		WebhookStatusCode: orNull(t.WebhookStatusCode), ClientReferenceID: orNull(t.ClientReferenceID), Context: t.Context,
	}
}

// pending reports whether the transcription is not finished.
func (t *Transcription) pending() bool { return t.Status == Queued || t.Status == Processing }

func (s *Server) listTranscriptions(r *http.Request, key Key) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	var own []*Transcription
	for _, t := range s.transcriptions {
		if t.Project == key.Project {
			own = append(own, t)
		}
	}
	own, next, failed := page(s, r, own, func(t *Transcription) position { return position{t.CreatedAt, t.ID} })
	if failed != nil {
		return *failed
	}
	list := make([]transcriptionJSON, len(own))
	for i, t := range own {
		list[i] = t.json()
	}
	return jsonAnswer(http.StatusOK, struct {
		Transcriptions []transcriptionJSON `json:"transcriptions"`
		Next           *string             `json:"next_page_cursor"`
	}{list, next})
}

func (s *Server) countTranscriptions(*http.Request, Key) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts(len(s.transcriptions))
}

func (s *Server) getTranscription(r *http.Request, key Key) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, failed := s.findTranscription(r, key)
	if failed != nil {
		return *failed
	}
	return jsonAnswer(http.StatusOK, t.json())
}

func (s *Server) getTranscript(r *http.Request, key Key) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, failed := s.findTranscription(r, key)
	switch {
	case failed != nil:
		return *failed
	case t.pending():
		return invalidState("The transcription is not completed yet.")
	case t.Status != Completed:
		return invalidState("The transcription has failed. See its error_type.")
	case t.Transcript != nil:
		return answer{http.StatusOK, t.Transcript}
	}
	return answer{http.StatusOK, t.dictation()}
}

func (s *Server) deleteTranscription(r *http.Request, key Key) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, failed := s.findTranscription(r, key)
	switch {
	case failed != nil:
		return *failed
	case t.pending():
		return invalidState("The transcription is being processed. Delete it when it is finished.")
	}
	delete(s.transcriptions, t.ID)
	if s.options.DeleteFiles {
		delete(s.files, t.FileID)
	}
	return answer{status: http.StatusNoContent}
}

func invalidState(message string) answer {
	return sonioxError(http.StatusConflict, "transcription_invalid_state", message)
}

// findTranscription returns the transcription that a request names. s.mu is locked.
func (s *Server) findTranscription(r *http.Request, key Key) (*Transcription, *answer) {
	id, ok := sonioxID(r)
	if !ok {
		a := malformedID("transcription_id")
		return nil, &a
	}
	t, ok := s.transcriptions[id]
	if !ok || t.Project != key.Project {
		a := sonioxError(http.StatusNotFound, "transcription_not_found", "The project has no transcription with this id.")
		return nil, &a
	}
	return t, nil
}
