package standin

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// A creation is the body of the request that creates a transcription.
type creation struct {
	Model                  *string  `json:"model"`
	AudioURL               string   `json:"audio_url"`
	FileID                 string   `json:"file_id"`
	LanguageHints          []string `json:"language_hints"`
	SpeakerDiarization     bool     `json:"enable_speaker_diarization"`
	LanguageIdentification bool     `json:"enable_language_identification"`
	Translation            *struct {
		Type           string `json:"type"`
		TargetLanguage string `json:"target_language"`
	} `json:"translation"`
	Context                json.RawMessage `json:"context"`
	WebhookURL             string          `json:"webhook_url"`
	WebhookAuthHeaderName  string          `json:"webhook_auth_header_name"`
	WebhookAuthHeaderValue string          `json:"webhook_auth_header_value"`
	ClientReferenceID      string          `json:"client_reference_id"`
}

func (s *Server) createTranscription(r *http.Request, key Key) answer {
	var c creation
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(body, &c)
	}
	if err != nil {
		return invalidRequest(validationError{"value_error", "body", "The body is not a JSON object with members of the documented types."})
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if invalid := c.validate(s.files, key); invalid != nil {
		return invalidRequest(invalid...)
	}
	if s.options.Exhausted != "" {
		return sonioxError(http.StatusPaymentRequired, s.options.Exhausted, "The balance or the monthly budget is used up.")
	}
	pending := 0
	for _, t := range s.transcriptions {
		if t.pending() {
			pending++
		}
	}
	switch {
	case len(s.transcriptions)+s.options.Playground >= s.options.MaxTranscriptions:
		return limitExceeded("The organization has too many transcriptions. Delete some.")
	case pending >= s.options.MaxPending:
		return limitExceeded("The organization has too many transcriptions that are not finished.")
	}
	t := s.addTranscription(c.transcription(key))
	created := jsonAnswer(http.StatusCreated, t.json())
	s.jobs.Go(func() { s.process(t) })
	return created
}

func (c creation) transcription(key Key) Transcription {
	t := Transcription{
		Project: key.Project, Status: Queued, Model: *c.Model, AudioURL: c.AudioURL, FileID: strings.ToLower(c.FileID),
		LanguageHints: c.LanguageHints, SpeakerDiarization: c.SpeakerDiarization, LanguageIdentification: c.LanguageIdentification,
		Context: c.Context, ClientReferenceID: c.ClientReferenceID,
		WebhookURL: c.WebhookURL, WebhookAuthHeaderName: c.WebhookAuthHeaderName, WebhookAuthHeaderValue: c.WebhookAuthHeaderValue,
	}
	if c.Translation != nil {
		t.TranslateTo = c.Translation.TargetLanguage
	}
	return t
}

var httpURL = regexp.MustCompile(`^https?://\S+$`)

// validate returns what is wrong with the request, or nil.
func (c creation) validate(files map[string]*File, key Key) (invalid []validationError) {
	wrong := func(member, message string) {
		invalid = append(invalid, validationError{"value_error", "body.payload." + member, message})
	}
	switch {
	case c.Model == nil:
		invalid = append(invalid, validationError{"missing", "body.payload.model", "The field is required."})
	case !strings.HasPrefix(*c.Model, "stt-async-"):
		wrong("model", "The value is not an asynchronous model.")
	}
	switch {
	case (c.AudioURL == "") == (c.FileID == ""):
		wrong("audio_url", "Exactly one of audio_url and file_id is required.")
	case c.AudioURL != "" && !httpURL.MatchString(c.AudioURL):
		wrong("audio_url", "The value is not an http or https URL.")
	case c.FileID != "" && !isUUID(c.FileID):
		wrong("file_id", "The value is not a UUID.")
	case c.FileID != "":
		if f, ok := files[strings.ToLower(c.FileID)]; !ok || f.Project != key.Project {
			wrong("file_id", "The project has no file with this id.")
		}
	}
	if c.WebhookURL != "" && !httpURL.MatchString(c.WebhookURL) {
		wrong("webhook_url", "The value is not an http or https URL.")
	}
	for _, field := range []struct {
		member, value string
		max           int
	}{
		{"model", deref(c.Model), 32},
		{"audio_url", c.AudioURL, 4096},
		{"webhook_url", c.WebhookURL, 256},
		{"webhook_auth_header_name", c.WebhookAuthHeaderName, 256},
		{"webhook_auth_header_value", c.WebhookAuthHeaderValue, 256},
		{"client_reference_id", c.ClientReferenceID, 256},
	} {
		if utf8.RuneCountInString(field.value) > field.max {
			invalid = append(invalid, tooLong("body.payload."+field.member, field.max))
		}
	}
	return invalid
}

func tooLong(location string, limit int) validationError {
	return validationError{"string_too_long", location, "The value has more than " + strconv.Itoa(limit) + " characters."}
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
