package caddymodule

import (
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
)

// Every command prints one JSON value where it is asked to, also where it finds
// nothing; an export prints one a line, as it does anyway.
func TestCommandsPrintJSON(t *testing.T) {
	a := newAdminSite(t)
	for _, filled := range []bool{false, true} {
		id, subject := "nobody", "note-of-nobody"
		if filled {
			subject = "note-1"
			id = a.settledNote(subject)
		}
		for _, args := range []string{
			"status", "events", "events --state dead", "show " + id, "health", "health live", "keygen",
			"replay --since 1h", "replay --dead", "purge --dead", "compact", "send soapnoteapi --count 2 --to " + a.url + "/soapnote",
			"export", "show " + subject, "events --subject note-1", "backup " + filepath.Join(t.TempDir(), "copy.db"),
		} {
			f := append(strings.Fields(args), "--json")
			if f[0] != "keygen" && f[0] != "send" {
				f = append(f, "--address", a.admin)
			}
			a.settle()
			r := commandLine(t, "", f...)
			if strings.HasSuffix(args, "nobody") {
				if r.failed(t, "no such event"); r.out != "" {
					t.Errorf("%s printed %q although it failed", args, r.out)
				}
				continue
			}
			r.done(t)
			if args == "export" {
				if plain := a.command("export").done(t); plain.out != r.out {
					t.Errorf("an export as JSON is %q, want %q", r.out, plain.out)
				}
				r.lines(t)
				continue
			}
			var v any
			if r.decode(t, &v); v == nil {
				t.Errorf("%s printed %q", args, r.out)
			}
		}
	}
}

// A gateway that is not ready is reported as JSON too, and is an error all the same.
func TestHealthAsJSON(t *testing.T) {
	a := newAdminSite(t)
	if err := currentGateway().queue.Close(); err != nil {
		t.Fatal(err)
	}
	r := a.command("health", "--json")
	var h map[string]any
	r.decode(t, &h)
	if fields(t, "health", h, "status", "reason"); r.err == nil || r.errOut != "" || h["status"] != "unavailable" || !strings.Contains(h["reason"].(string), "reading the queue") {
		t.Errorf("%v, printed %v and %q", r.err, h, r.errOut)
	}
	if r := commandLine(t, "", "health", "--json", "--address", closedPort(t)); r.err == nil || r.out != "" {
		t.Errorf("%v, printed %q for a gateway that was not asked", r.err, r.out)
	}
}

// What was sent before a gateway went away is printed.
func TestSendIsBrokenOff(t *testing.T) {
	t.Parallel()
	var n atomic.Int32
	address := fakeAdmin(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1)%3 == 0 {
			panic(http.ErrAbortHandler)
		}
		writeReceived(w, "soapnoteapi-1", false)
	})
	args := []string{"send", "soapnoteapi", "--to", "http://" + address, "--count", "5"}
	const want = "(2 of 5 events were sent before)"
	r := commandLine(t, "", args...)
	if r.failed(t, want); strings.Count(r.out, "200 OK  soapnoteapi-1\n") != 2 {
		t.Errorf("printed %q", r.out)
	}
	r = commandLine(t, "", append(args, "--json")...)
	r.failed(t, want)
	var all []sent
	if r.decode(t, &all); len(all) != 2 || all[1].ID != "soapnoteapi-1" {
		t.Errorf("printed %q", r.out)
	}
	r = commandLine(t, "", "send", "soapnoteapi", "--json", "--to", "http://"+closedPort(t))
	if r.failed(t, "is the gateway running there?"); r.out != "" || strings.Contains(r.errOut, "0 of 1") {
		t.Errorf("printed %q and %q", r.out, r.errOut)
	}
}

// A listing that is longer than a page is a table whose rows line up, and one piece
// of JSON.
func TestEventsOfManyPages(t *testing.T) {
	t.Parallel()
	address := fakeAdmin(t, func(w http.ResponseWriter, r *http.Request) {
		page := admin.EventPage{NextCursor: "2", Events: []admin.Event{{ID: "short", Subject: "note-1", Deliveries: []admin.Delivery{{Upstream: "ehr", State: "dead"}}}}}
		if r.FormValue("cursor") == "2" {
			page = admin.EventPage{Events: []admin.Event{{ID: "one-that-is-longer", State: "quarantined"}, {ID: "short", Type: "test"}}}
		}
		body, _ := json.Marshal(page)
		writeJSON(w, http.StatusOK, body)
	})
	out := commandLine(t, "", "events", "--address", address).done(t).out
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
	commandLine(t, "", "events", "--json", "--address", address).done(t).decode(t, &all)
	if len(all) != 3 {
		t.Errorf("printed %v", all)
	}
	commandLine(t, "", "events", "--limit", "1", "--json", "--address", address).done(t).decode(t, &all)
	if len(all) != 1 {
		t.Errorf("with a limit of 1, printed %v", all)
	}
}
