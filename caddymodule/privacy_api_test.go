package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/scribegate/scribegate/examples/providers/standin"
)

// plantResults starts the stand-in for Soniox's API and plants transcriptions there. Each
// has a fault of its own, whose answer blabs. The blabber is an API too.
func (s *privateSite) plantResults() {
	s.t.Helper()
	key, words := "snx_"+s.place("the key of an API"), s.place("an API's words")
	s.t.Setenv("PLANTED_API_KEY", key)
	providers := standin.New(standin.Options{SonioxKeys: []standin.Key{{Value: key}}, SOAPNoteKeys: []string{key}})
	api := httptest.NewServer(providers)
	s.t.Cleanup(func() {
		providers.Close()
		api.Close()
	})

	add := func(name string, t standin.Transcription, ends bool, route standin.Route, f standin.Fault) *plantedResult {
		id := providers.AddTranscription(s.plantTranscription(t))
		f.ID = id
		providers.Fail(route, f)
		s.results = append(s.results, plantedResult{name: name, base: api.URL, id: id, fails: ends && t.Status == standin.Failed, ends: ends, asked: func() bool {
			for _, r := range providers.Requests() {
				if r.Route == route && strings.Contains(r.Path, id) {
					return true
				}
			}
			return false
		}})
		return &s.results[len(s.results)-1]
	}
	fault := func(name string, f standin.Fault) {
		add("asked-"+name, standin.Transcription{}, false, standin.GetTranscription, f)
		add("transcript-"+name, standin.Transcription{}, true, standin.GetTranscript, f)
	}

	add("completed", standin.Transcription{}, true, standin.GetTranscript, standin.Fault{})
	add("failed", standin.Transcription{Status: standin.Failed, ErrorType: "invalid_audio_file"}, true, standin.GetTranscription, standin.Fault{})
	add("failed-strangely", standin.Transcription{Status: standin.Failed, ErrorType: s.place("an error_type that is not a word") + " 1"}, true, standin.GetTranscription, standin.Fault{})
	add("other-status", standin.Transcription{Status: standin.Failed}, false, standin.GetTranscription, standin.Fault{})
	add("strange-status", standin.Transcription{Status: words}, false, standin.GetTranscription, standin.Fault{})
	for _, status := range []int{400, 401, 402, 403, 404, 408, 409, 418, 429, 500, 503} {
		fault(strconv.Itoa(status), standin.Fault{Status: status, Body: s.apiError(status), RetryAfter: words})
	}
	fault("moved", standin.Fault{Status: http.StatusFound, Body: s.apiError(http.StatusFound), Location: api.URL + "/" + words + s.query()})
	for name, body := range map[string]string{
		"text":    words,
		"array":   `["` + words + `"]`,
		"broken":  `{"id":"` + words + `","status":"completed","text":"` + words,
		"members": `{"id":{"` + words + `":1},"status":["` + words + `"],"` + words + `":1,"text":{"` + words + `":1}}`,
		"bytes":   "{\"id\":\"\xff" + words + "\",\"text\":\"\xff" + words + "\"}",
		"twice":   `{"text":"` + words + `"}{"text":"` + words + `"}`,
	} {
		fault(name, standin.Fault{Body: []byte(body)})
	}
	fault("cut-off", standin.Fault{Body: []byte(`{"text":"` + strings.Repeat(words, 100) + `"}`), Cut: true})
	for _, name := range theBlabs {
		id := uuid.NewString()
		s.results = append(s.results, plantedResult{name: "blab-" + name, options: "reconcile 1s", base: "http://" + s.blabber.address + "/api/" + name, id: id, asked: func() bool {
			path := "/api/" + name + "/v1/transcriptions"
			return s.blabber.times(path+"/"+id) > 0 && s.blabber.times(path)+s.blabber.times(path+"/count") > 0 // one waits for the other
		}})
	}

	for _, status := range []int{0, 403, 409, 500} {
		file := providers.AddFile(standin.File{Filename: s.place("an uploaded file's name") + ".m4a"})
		f := standin.Fault{Times: 1, Status: status}
		if status != 0 {
			f.Body = s.apiError(status)
		}
		add("deleted-"+strconv.Itoa(status), standin.Transcription{FileID: file}, true, standin.DeleteTranscription, f).options = "delete_after_delivery"
	}

	// The first two looks for what was missed fail.
	providers.Fail(standin.ListTranscriptions, standin.Fault{Times: 1, Status: http.StatusInternalServerError, Body: s.apiError(http.StatusInternalServerError)})
	providers.Fail(standin.ListTranscriptions, standin.Fault{Times: 1, Body: []byte(`{"transcriptions":[{"id":"` + words + `","filename":"` + words)})
	for _, name := range []string{"missed", "pruned"} {
		missed := add(name, standin.Transcription{
			WebhookURL: s.url + "/result/" + name + "?user_id=" + s.place("the query of a webhook that was missed"), WebhookStatusCode: http.StatusBadGateway,
		}, true, standin.GetTranscript, standin.Fault{})
		missed.missed, missed.options = true, "reconcile 1s"
		providers.Fail(standin.DeleteTranscription, standin.Fault{ID: missed.id, Status: http.StatusTeapot, Body: s.apiError(http.StatusTeapot)})
	}

	s.plantNotes(providers, api.URL)
}

// plantNotes plants notes at SOAPNoteAPI. All but one have a fault, whose answer blabs.
func (s *privateSite) plantNotes(providers *standin.Server, base string) {
	s.t.Setenv("PLANTED_NOTES_API", base)
	words := s.place("an API's words")
	refused := []byte(`{"error":{"code":"` + words + ` 1","message":"` + words + `"}}`)
	for _, f := range []struct {
		route standin.Route
		standin.Fault
	}{
		{standin.GetNote, standin.Fault{}},
		{standin.GetNoteStatus, standin.Fault{Status: http.StatusTeapot, Body: refused}},
		{standin.GetNote, standin.Fault{Status: http.StatusNotFound, Body: refused}},
		{standin.GetNoteStatus, standin.Fault{Body: []byte(`{"status":"` + words + ` 1"}`)}},
		{standin.GetNoteStatus, standin.Fault{Body: []byte(words)}},
		{standin.GetNote, standin.Fault{Body: []byte(`{"subjective":"` + words)}},
		{standin.GetNote, standin.Fault{Body: []byte(`["` + words + `"]`)}},
		{standin.GetNote, standin.Fault{Status: http.StatusUnauthorized, Body: refused}},
	} {
		f.ID = providers.AddNote(standin.Note{Data: json.RawMessage(`{"subjective":"` + s.place("a recovered note") + `"}`)})
		providers.Fail(f.route, f.Fault)
		s.notes = append(s.notes, f.ID)
	}
}

// plantTranscription plants what Soniox knows of a transcription.
func (s *privateSite) plantTranscription(t standin.Transcription) standin.Transcription {
	t.ID = uuid.NewString()
	if t.WebhookURL == "" {
		t.WebhookURL = s.url + "/elsewhere?patient=" + s.place("a webhook_url's query")
	}
	t.Model, t.Filename, t.AudioURL = s.place("a model"), s.place("a transcription's filename")+".m4a", "https://example.com/"+s.place("an audio_url")
	t.LanguageHints, t.ClientReferenceID = []string{s.place("a language hint")}, s.place("a client_reference_id")
	t.Context = json.RawMessage(`{"text":"` + s.place("a context") + `"}`)
	if t.Status == standin.Failed {
		t.ErrorMessage = s.place("an error_message")
	}
	t.Transcript = fmt.Appendf(nil, `{"id":"%s","text":"%s","tokens":[{"text":"%s","start_ms":0,"speaker":"%s"}],"%s":1}`,
		t.ID, s.place("a transcript's text"), s.place("a token"), s.place("a token's speaker"), s.place("a transcript's unknown member"))
	return t
}

// apiError is an error of Soniox's API whose every member blabs.
func (s *privateSite) apiError(status int) []byte {
	return fmt.Appendf(nil, `{"status_code":%d,"error_type":"%[2]s 1","message":"%[2]s","validation_errors":[{"error_type":"%[2]s","location":"%[2]s","message":"%[2]s"}],`+
		`"request_id":"%[2]s","more_info":"https://example.com/%[2]s","%[2]s":1}`, status, s.place("an API's words"))
}
