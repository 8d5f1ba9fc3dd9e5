package standin_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

type transcription struct {
	ID                     string   `json:"id"`
	Status                 string   `json:"status"`
	CreatedAt              string   `json:"created_at"`
	Model                  string   `json:"model"`
	AudioURL               *string  `json:"audio_url"`
	FileID                 *string  `json:"file_id"`
	Filename               string   `json:"filename"`
	LanguageHints          []string `json:"language_hints"`
	SpeakerDiarization     *bool    `json:"enable_speaker_diarization"`
	LanguageIdentification *bool    `json:"enable_language_identification"`
	AudioDurationMS        *int     `json:"audio_duration_ms"`
	ErrorType              *string  `json:"error_type"`
	ErrorMessage           *string  `json:"error_message"`
	WebhookURL             *string  `json:"webhook_url"`
	WebhookAuthHeaderName  *string  `json:"webhook_auth_header_name"`
	WebhookAuthHeaderValue *string  `json:"webhook_auth_header_value"`
	WebhookStatusCode      *int     `json:"webhook_status_code"`
	ClientReferenceID      *string  `json:"client_reference_id"`
	Context                any      `json:"context"`
}

// A receiver is an endpoint of webhooks, which answers with statuses in turn, the last one
// again and again.
type receiver struct {
	*httptest.Server
	statuses []int

	mu       sync.Mutex
	received []webhook
}

type webhook struct {
	query, contentType, authorization, signature, timestamp, body string
}

func receive(t *testing.T, statuses ...int) *receiver {
	t.Helper()
	r := &receiver{statuses: statuses}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		if q.Method != http.MethodPost {
			t.Errorf("%s %s", q.Method, q.URL.Path)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.received = append(r.received, webhook{
			q.URL.RawQuery, q.Header.Get("Content-Type"), q.Header.Get("Authorization"),
			q.Header.Get("X-SoapNoteAPI-Signature"), q.Header.Get("X-SoapNoteAPI-Timestamp"), string(body),
		})
		w.Header().Set("Location", "/elsewhere") // must not be followed
		w.WriteHeader(r.statuses[min(len(r.received), len(r.statuses))-1])
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) all() []webhook {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.received)
}

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !condition(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it did not happen within 10 s")
		}
	}
}

const audio = `"model":"stt-async-v4","audio_url":"https://example.com/a/visit-7.mp3?signature=x"`

func create(t *testing.T, url, members string) transcription {
	t.Helper()
	status, body := call(t, "POST", url+"/v1/transcriptions", standin.SonioxKey, "{"+members+"}")
	if status != http.StatusCreated {
		t.Fatalf("%d %s", status, body)
	}
	return decode[transcription](t, body)
}

func get(t *testing.T, url, id string) transcription {
	t.Helper()
	status, body := call(t, "GET", url+"/v1/transcriptions/"+id, standin.SonioxKey, "")
	if status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	return decode[transcription](t, body)
}

// TestCreate follows a transcription from its creation to the answer to its webhook.
func TestCreate(t *testing.T) {
	t.Parallel()
	hooks := receive(t, http.StatusOK)
	s, url := start(t, standin.Options{})
	created := create(t, url, audio+`,"webhook_url":"`+hooks.URL+`/soniox?user_id=123&order_id=456","webhook_auth_header_name":"Authorization",
		"webhook_auth_header_value":"Bearer secret","client_reference_id":"visit 7","language_hints":["en"],"enable_speaker_diarization":true,
		"context":{"terms":["bronchitis"]}`)
	if created.Status != standin.Queued || created.AudioDurationMS != nil || created.WebhookStatusCode != nil {
		t.Errorf("created: %+v", created)
	}
	if created.Filename != "visit-7.mp3" || *created.WebhookAuthHeaderValue != "******************" || *created.ClientReferenceID != "visit 7" {
		t.Errorf("created: %+v", created)
	}

	eventually(t, func() bool { return get(t, url, created.ID).WebhookStatusCode != nil })
	if _, body := call(t, "GET", url+"/v1/transcriptions/"+created.ID, readKey, ""); !strings.Contains(string(body), `?user_id=123&order_id=456"`) {
		t.Errorf("the webhook_url is not as it was given: %s", body)
	}
	finished := get(t, url, created.ID)
	if finished.Status != standin.Completed || *finished.WebhookStatusCode != 200 || *finished.AudioDurationMS <= 0 || finished.ErrorType != nil {
		t.Errorf("finished: %+v", finished)
	}
	want := webhook{query: "user_id=123&order_id=456", contentType: "application/json", authorization: "Bearer secret", body: `{"id":"` + created.ID + `","status":"completed"}`}
	if got := hooks.all(); len(got) != 1 || got[0] != want {
		t.Errorf("webhooks = %+v, want %+v", got, want)
	}
	if known, ok := s.Transcription(created.ID); !ok || known.WebhookStatusCode != 200 {
		t.Errorf("Transcription = %+v, %v", known, ok)
	}
}

// TestCreateFails checks transcriptions whose audio cannot be read.
func TestCreateFails(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"a URL":  `"audio_url":"https://fail.example.com/visit.mp3"`,
		"a file": `"file_id":"` + id + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hooks := receive(t, http.StatusOK)
			s, url := start(t, standin.Options{})
			s.AddFile(standin.File{ID: id, Filename: "fail.mp3"})
			created := create(t, url, `"model":"stt-async-v4","webhook_url":"`+hooks.URL+`",`+source)
			eventually(t, func() bool { return get(t, url, created.ID).WebhookStatusCode != nil })
			failed := get(t, url, created.ID)
			if failed.Status != standin.Failed || failed.ErrorType == nil || failed.ErrorMessage == nil {
				t.Errorf("failed: %+v", failed)
			}
			if got, want := hooks.all()[0], (webhook{contentType: "application/json", body: `{"id":"` + created.ID + `","status":"error"}`}); got != want {
				t.Errorf("webhook = %+v, want %+v", got, want)
			}
		})
	}
}

// TestWebhookRetries checks how often a webhook is sent, and what is recorded.
func TestWebhookRetries(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		answers []int
		sent    int
	}{
		"a 2xx at once":    {[]int{204}, 1},
		"a 2xx at last":    {[]int{503, 302, 401, 200}, 4},
		"never a 2xx":      {[]int{500, 500, 500, 404, 200}, 4},
		"a 2xx in between": {[]int{503, 200, 503}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hooks := receive(t, tt.answers...)
			s, url := start(t, standin.Options{WebhookRetries: []time.Duration{1, 1, 1}})
			created := create(t, url, audio+`,"webhook_url":"`+hooks.URL+`"`)
			last := tt.answers[tt.sent-1]
			eventually(t, func() bool {
				known, _ := s.Transcription(created.ID)
				return known.WebhookStatusCode == last && len(hooks.all()) == tt.sent
			})
			s.Close() // waits for what is still to be sent
			if got := len(hooks.all()); got != tt.sent {
				t.Errorf("sent %d times, want %d", got, tt.sent)
			}
		})
	}
}

// TestWebhookWithoutAnswer checks that nothing is recorded without an answer.
func TestWebhookWithoutAnswer(t *testing.T) {
	t.Parallel()
	hooks := receive(t, http.StatusOK)
	hooks.Close()
	logged := make(chan string, 100)
	s, url := start(t, standin.Options{
		WebhookRetries: []time.Duration{1},
		Log:            func(format string, args ...any) { logged <- fmt.Sprintf(format, args...) },
	})
	created := create(t, url, audio+`,"webhook_url":"`+hooks.URL+`?patient=7"`)
	for failed := 0; failed < 2; {
		line := <-logged
		if strings.Contains(line, "patient") {
			t.Errorf("the log has the query: %s", line)
		}
		if strings.Contains(line, "webhook of transcription "+created.ID) {
			failed++
		}
	}
	if known, _ := s.Transcription(created.ID); known.WebhookStatusCode != 0 || known.Status != standin.Completed {
		t.Errorf("%+v", known)
	}
}

// TestValidation checks what is not accepted as a transcription.
func TestValidation(t *testing.T) {
	t.Parallel()
	webhookURL := "https://hooks.example.com/"
	for name, tt := range map[string]struct {
		body     string
		location string // "" if it is accepted
	}{
		"an audio URL":             {`{` + audio + `}`, ""},
		"null":                     {`{` + audio + `,"file_id":null,"webhook_url":null,"context":null,"translation":null}`, ""},
		"a context of words":       {`{` + audio + `,"context":"bronchitis"}`, ""},
		"a file":                   {`{"model":"stt-async-v4","file_id":"` + id + `"}`, ""},
		"a URL of 256 characters":  {`{` + audio + `,"webhook_url":"` + webhookURL + strings.Repeat("é", 256-len(webhookURL)) + `"}`, ""},
		"a value of 256":           {`{` + audio + `,"webhook_auth_header_value":"` + strings.Repeat("x", 256) + `"}`, ""},
		"nothing":                  {``, "body"},
		"half an object":           {`{"model":`, "body"},
		"a list":                   {`[]`, "body"},
		"a number as model":        {`{"model":1}`, "body"},
		"no model":                 {`{"audio_url":"https://example.com/a"}`, "body.payload.model"},
		"a model for streams":      {`{"model":"stt-rt-v4","audio_url":"https://example.com/a"}`, "body.payload.model"},
		"no audio":                 {`{"model":"stt-async-v4"}`, "body.payload.audio_url"},
		"two audios":               {`{` + audio + `,"file_id":"` + id + `"}`, "body.payload.audio_url"},
		"another scheme":           {`{"model":"stt-async-v4","audio_url":"ftp://example.com/a"}`, "body.payload.audio_url"},
		"an unknown file":          {`{"model":"stt-async-v4","file_id":"` + otherID + `"}`, "body.payload.file_id"},
		"a malformed file":         {`{"model":"stt-async-v4","file_id":"f1"}`, "body.payload.file_id"},
		"a webhook without scheme": {`{` + audio + `,"webhook_url":"hooks.example.com"}`, "body.payload.webhook_url"},
		"a URL of 257 characters":  {`{` + audio + `,"webhook_url":"` + webhookURL + strings.Repeat("x", 257-len(webhookURL)) + `"}`, "body.payload.webhook_url"},
		"a name of 257":            {`{` + audio + `,"webhook_auth_header_name":"` + strings.Repeat("x", 257) + `"}`, "body.payload.webhook_auth_header_name"},
		"a value of 257":           {`{` + audio + `,"webhook_auth_header_value":"` + strings.Repeat("x", 257) + `"}`, "body.payload.webhook_auth_header_value"},
		"a reference of 257":       {`{` + audio + `,"client_reference_id":"` + strings.Repeat("x", 257) + `"}`, "body.payload.client_reference_id"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := start(t, standin.Options{})
			s.AddFile(standin.File{ID: id})
			status, body := call(t, "POST", url+"/v1/transcriptions", standin.SonioxKey, tt.body)
			if tt.location == "" {
				if status != http.StatusCreated {
					t.Errorf("%d %s", status, body)
				}
				return
			}
			e := decode[apiError](t, body)
			if status != http.StatusBadRequest || e.ErrorType != "invalid_request" || len(e.ValidationErrors) != 1 || e.ValidationErrors[0].Location != tt.location {
				t.Errorf("%d %s, want one error at %s", status, body, tt.location)
			}
		})
	}
}

// TestLimits checks the limits of the organization, over all its projects.
func TestLimits(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options   standin.Options
		add       func(*standin.Server)
		upload    bool
		status    int
		errorType string
	}{
		"transcriptions": {
			standin.Options{MaxTranscriptions: 3, Playground: 1},
			func(s *standin.Server) {
				s.AddTranscription(standin.Transcription{})
				s.AddTranscription(standin.Transcription{Project: "other"})
			}, false, 429, "limit_exceeded",
		},
		"one fewer": {
			standin.Options{MaxTranscriptions: 3, Playground: 1},
			func(s *standin.Server) { s.AddTranscription(standin.Transcription{}) }, false, 201, "",
		},
		"pending": {
			standin.Options{MaxPending: 2},
			func(s *standin.Server) {
				s.AddTranscription(standin.Transcription{Status: standin.Queued})
				s.AddTranscription(standin.Transcription{Status: standin.Processing})
			}, false, 429, "limit_exceeded",
		},
		"the documented limit": {
			standin.Options{},
			func(s *standin.Server) {
				for range 2000 {
					s.AddTranscription(standin.Transcription{})
				}
			}, false, 429, "limit_exceeded",
		},
		"files": {
			standin.Options{},
			func(s *standin.Server) {
				for range 1000 {
					s.AddFile(standin.File{})
				}
			}, true, 429, "limit_exceeded",
		},
		"one file fewer, and one in the playground": {
			standin.Options{Playground: 1},
			func(s *standin.Server) {
				for range 999 {
					s.AddFile(standin.File{})
				}
			}, true, 429, "limit_exceeded",
		},
		"one file fewer": {
			standin.Options{},
			func(s *standin.Server) {
				for range 999 {
					s.AddFile(standin.File{})
				}
			}, true, 201, "",
		},
		"no money": {
			standin.Options{Exhausted: "project_monthly_budget_exhausted"},
			func(*standin.Server) {}, false, 402, "project_monthly_budget_exhausted",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, url := start(t, tt.options)
			tt.add(s)
			request := func() (int, []byte) {
				return call(t, "POST", url+"/v1/transcriptions", standin.SonioxKey, "{"+audio+"}")
			}
			if tt.upload {
				request = func() (int, []byte) {
					return upload(t, "POST", url+"/v1/files", standin.SonioxKey, map[string]string{"file": "sound"})
				}
			}
			status, body := request()
			if status != tt.status || tt.errorType != "" && decode[apiError](t, body).ErrorType != tt.errorType {
				t.Errorf("%d %s, want %d %s", status, body, tt.status, tt.errorType)
			}
		})
	}
}
