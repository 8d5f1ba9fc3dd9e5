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
