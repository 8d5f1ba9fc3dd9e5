package command

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// If the gateway disappears, the events that were sent by then are printed.
func TestSendIsBrokenOff(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	address := commandtest.FakeServer(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%3 == 0 {
			panic(http.ErrAbortHandler)
		}
		commandtest.AnswerJSON(w, http.StatusOK, []byte(`{"received":true,"id":"soapnoteapi-1"}`))
	})
	args := []string{"send", "soapnoteapi", "--to", "http://" + address, "--count", "5"}
	const want = "(2 of 5 events were sent before)"
	r := commandtest.Run(t, "", args...)
	if r.Failed(t, want); strings.Count(r.Out, "200 OK  soapnoteapi-1\n") != 2 {
		t.Errorf("printed %q", r.Out)
	}
	r = commandtest.Run(t, "", append(args, "--json")...)
	r.Failed(t, want)
	var all []sent
	if r.Decode(t, &all); len(all) != 2 || all[1].ID != "soapnoteapi-1" {
		t.Errorf("printed %q", r.Out)
	}
	r = commandtest.Run(t, "", "send", "soapnoteapi", "--json", "--to", "http://"+commandtest.ClosedPort(t))
	if r.Failed(t, "is the gateway running there?"); r.Out != "" || strings.Contains(r.ErrOut, "0 of 1") {
		t.Errorf("printed %q and %q", r.Out, r.ErrOut)
	}
}

// A listing of several pages is one table whose rows line up, and one JSON value.
func TestEventsOfManyPages(t *testing.T) {
	t.Parallel()
	address := commandtest.FakeServer(t, func(w http.ResponseWriter, r *http.Request) {
		page := admin.EventPage{NextCursor: "2", Events: []admin.Event{{ID: "short", Subject: "note-1", Deliveries: []admin.Delivery{{Upstream: "ehr", Course: admin.Course{State: "dead"}}}}}}
		if r.FormValue("cursor") == "2" {
			page = admin.EventPage{Events: []admin.Event{{ID: "one-that-is-longer", State: "quarantined"}, {ID: "short", Type: "test"}}}
		}
		body, _ := json.Marshal(page)
		commandtest.AnswerJSON(w, http.StatusOK, body)
	})
	out := commandtest.Run(t, "", "events", "--address", address).Done(t).Out
	want := []string{
		"RECEIVED ID SUBJECT TYPE UPSTREAM STATE ATTEMPTS NEXT ATTEMPT", "short note-1 ehr dead 0 -",
		"one-that-is-longer - - quarantined - -", "short - test - - - -",
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for i, line := range lines {
		f := strings.Fields(line)
		if i > 0 {
			f = f[2:] // behind the time
		}
		if len(lines) != len(want) || strings.Join(f, " ") != want[i] {
			t.Fatalf("printed\n%s", out)
		}
	}
	var all []map[string]any
	commandtest.Run(t, "", "events", "--json", "--address", address).Done(t).Decode(t, &all)
	if len(all) != 3 {
		t.Errorf("printed %v", all)
	}
	commandtest.Run(t, "", "events", "--limit", "1", "--json", "--address", address).Done(t).Decode(t, &all)
	if len(all) != 1 {
		t.Errorf("with a limit of 1, printed %v", all)
	}
}
