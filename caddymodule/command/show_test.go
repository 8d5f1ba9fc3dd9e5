package command

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestMeaning(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		outcome queue.Result
		status  int
		unused  bool
		want    string
	}{
		{queue.Success, 204, false, "taken"},
		{queue.Gone, 410, false, "wanted no more: dead at once"},
		{queue.Timeout, 0, false, "no answer in time"},
		{queue.ConnectError, 0, true, "no connection: does not count"},
		{queue.ConnectError, 0, false, "no connection: the log says why"},
		{queue.Failure, 0, false, "no answer: the log says why"},
		{queue.Failure, 0, true, "no answer: does not count"},
		{queue.Failure, 302, false, "a redirect: none is followed"},
		{queue.Failure, 422, false, "refused: Unprocessable Entity"},
		{queue.Failure, 429, true, "asked to wait: does not count"},
		{queue.Failure, 499, false, "refused"},
		{queue.Failure, 503, false, "the backend failed: Service Unavailable"},
		{queue.Failure, 599, false, "the backend failed"},
	} {
		if got := meaning(admin.Attempt{Outcome: tt.outcome, Status: tt.status, Unused: tt.unused}); got != tt.want {
			t.Errorf("%s %d, unused %v, means %q, want %q", tt.outcome, tt.status, tt.unused, got, tt.want)
		}
	}
}

func TestTried(t *testing.T) {
	t.Parallel()
	for want, d := range map[string]admin.Delivery{
		"0 attempts":                       {},
		"1 attempt":                        {Attempts: 1},
		"6 attempts":                       {Attempts: 6},
		"1 attempt, which does not count":  {Attempts: 1, Unused: 1},
		"6 attempts, none of which counts": {Attempts: 6, Unused: 6},
		"1,200 attempts, 2 of which count": {Attempts: 1200, Unused: 1198},
	} {
		if got := tried(d); got != want {
			t.Errorf("%+v was tried by %q, want %q", d, got, want)
		}
	}
}

// More events of one note than a page holds are all shown.
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

// A payload that cannot be read hides no other, and is an error.
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
