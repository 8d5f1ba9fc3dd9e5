package command

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// All events of a note are shown, even if they fill several pages.
func TestShowPagesThrough(t *testing.T) {
	t.Parallel()
	address := commandtest.FakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		page := admin.EventPage{NextCursor: "2", Events: []admin.Event{{ID: "one"}}}
		switch {
		case r.URL.Path == "/scribegate/events/note-1":
			commandtest.AnswerJSON(w, http.StatusNotFound, []byte(`{"error":"no such event"}`))
			return
		case r.FormValue("subject") != "note-1" || r.FormValue("history") != "true":
			t.Errorf("asked for %s", r.URL)
		case r.FormValue("cursor") == "2":
			page = admin.EventPage{Events: []admin.Event{{ID: "two"}}}
		}
		body, _ := json.Marshal(page)
		commandtest.AnswerJSON(w, http.StatusOK, body)
	})
	var all []map[string]any
	commandtest.Run(t, "", "show", "note-1", "--json", "--address", address).Done(t).Decode(t, &all)
	if len(all) != 2 || all[0]["id"] != "one" || all[1]["id"] != "two" {
		t.Errorf("shown %v", all)
	}
}

// An unreadable payload is an error, and the other payloads are shown.
func TestShowOfADamagedPayload(t *testing.T) {
	t.Parallel()
	address := commandtest.FakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		switch strings.TrimPrefix(r.URL.Path, "/scribegate/events") {
		case "":
			commandtest.AnswerJSON(w, http.StatusOK, []byte(`{"events":[{"id":"bad","payload":true},{"id":"good","payload":true}]}`))
		case "/bad/payload":
			commandtest.AnswerJSON(w, http.StatusInternalServerError, []byte(`{"error":"the event's payload cannot be opened"}`))
		case "/good/payload":
			commandtest.AnswerJSON(w, http.StatusOK, []byte(`{"body":"here"}`))
		default:
			commandtest.AnswerJSON(w, http.StatusNotFound, []byte(`{"error":"no such event"}`))
		}
	})
	r := commandtest.Run(t, "", "show", "note-1", "--payload", "--address", address)
	if r.Failed(t, "payload cannot be opened"); !strings.Contains(r.Out, "id            bad") || !strings.Contains(r.Out, `"body": "here"`) {
		t.Errorf("printed %s", r.Out)
	}
}

// What is asked of the provider's API is shown where it happens: before the deliveries,
// which wait for it, and after them.
func TestShowOfStages(t *testing.T) {
	t.Parallel()
	event := `{"id":"e1","state":"pending","deliveries":[{"upstream":"ehr","state":"pending","attempts":0}],"stages":[` +
		`{"stage":"cleanup","state":"pending","attempts":0},` +
		`{"stage":"completion","state":"pending","attempts":2,"history":[` +
		`{"attempt":1,"at":"2026-03-19T15:30:00Z","seconds":0.1,"outcome":"failure","status":404},` +
		`{"attempt":2,"at":"2026-03-19T15:30:01Z","seconds":0.1,"outcome":"failure","status":401}]}]}`
	address := commandtest.FakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/events/e1") {
			commandtest.AnswerJSON(w, http.StatusOK, []byte(event))
			return
		}
		commandtest.AnswerJSON(w, http.StatusOK, []byte(`{"queue":{},"upstreams":[{"name":"ehr"}]}`))
	})
	r := commandtest.Run(t, "", "show", "e1", "--address", address).Done(t)
	at := 0
	for _, want := range []string{
		"result from the provider's API: pending after 2 attempts",
		"the provider does not know it",
		"the key was refused: check api_key and api_base",
		"ehr: pending after 0 attempts",
		"it waits until the provider's API has confirmed the event",
		"deletion at the provider: pending after 0 attempts",
	} {
		i := strings.Index(r.Out[at:], want)
		if i < 0 {
			t.Fatalf("%q is missing, or not in its place:\n%s", want, r.Out)
		}
		at += i
	}
}
