package standin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/scribegate/scribegate/examples/internal/sender"
)

// process finishes a transcription that was created over the API, and sends its webhook.
// A transcription whose audio_url or file name contains "fail" ends in an error.
func (s *Server) process(t *Transcription) {
	half := s.options.ProcessingDelay / 2
	if !sleep(s.ctx, half) || !s.update(t, func() { t.Status = Processing }) {
		return
	}
	if !sleep(s.ctx, s.options.ProcessingDelay-half) || !s.update(t, t.finish) {
		return
	}
	if t.WebhookURL == "" {
		return
	}
	for sent := 0; ; sent++ {
		status, err := s.sendWebhook(t)
		if err != nil {
			s.options.Log("webhook of transcription %s: %v", t.ID, err)
		} else {
			s.options.Log("webhook of transcription %s: %d", t.ID, status)
			s.update(t, func() { t.WebhookStatusCode = status })
		}
		if status/100 == 2 || sent == len(s.options.WebhookRetries) || !sleep(s.ctx, s.options.WebhookRetries[sent]) {
			return
		}
	}
}

// update changes a transcription, unless it was deleted or replaced. It reports whether it
// did.
func (s *Server) update(t *Transcription, change func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.transcriptions[t.ID] != t {
		return false
	}
	change()
	return true
}

func (t *Transcription) finish() {
	if strings.Contains(t.AudioURL, "fail") || strings.Contains(t.Filename, "fail") {
		t.Status, t.ErrorType, t.ErrorMessage = Failed, "invalid_audio_file", "The audio could not be decoded."
		return
	}
	t.Status, t.AudioDurationMS = Completed, dictationMS
}

// sendWebhook sends the webhook of a transcription once. It returns the status of the answer.
func (s *Server) sendWebhook(t *Transcription) (int, error) {
	current, ok := s.Transcription(t.ID)
	if !ok {
		return 0, errors.New("it was deleted")
	}
	request, err := sender.Soniox(s.ctx, t.WebhookURL, t.WebhookAuthHeaderName, t.WebhookAuthHeaderValue, sender.Transcription(t.ID, current.Status))
	if err != nil {
		return 0, err
	}
	if t.WebhookAuthHeaderName == "" {
		delete(request.Header, "")
	}
	return s.send(request)
}

// send sends a webhook and returns the status of the answer.
func (s *Server) send(request *http.Request) (int, error) {
	resp, err := s.client.Do(request)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // without the URL, whose query is the user's own
		}
		return 0, fmt.Errorf("sending the webhook: %w", err)
	}
	defer resp.Body.Close()
	return resp.StatusCode, nil
}
