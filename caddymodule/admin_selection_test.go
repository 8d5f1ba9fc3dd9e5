package caddymodule

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/adminapi"
)

func TestAdminReplay(t *testing.T) {
	a := newAdminSite(t)
	one, two := a.settledNote("note-1"), a.settledNote("note-2")
	if n := len(a.lab.deliveries()); n != 2 {
		t.Fatalf("%d deliveries to the lab before any replay", n)
	}
	answer := func(body string, replayed, without float64) {
		t.Helper()
		done := fields(t, "replay", a.object("POST", "/scribegate/replay", body), "replayed", "without_payload")
		if done["replayed"] != replayed || done["without_payload"] != without {
			t.Errorf("%s: %v, want %v and %v", body, done, replayed, without)
		}
		a.settle()
	}
	answer(`{"ids":["`+one+`"],"upstream":"lab"}`, 1, 0)
	a.lab.wait(t, 3)
	answer(`{"dead":true,"upstream":"ehr"}`, 0, 0)
	a.lab.respond(nil)
	answer(`{"dead":true}`, 2, 0)
	got := a.lab.wait(t, 5)[3:]
	for _, d := range got {
		if d.header.Get("Scribegate-Attempt") != "1" {
			t.Errorf("the replay's first attempt is the %sth: its budget is not fresh", d.header.Get("Scribegate-Attempt"))
		}
	}
	if n := len(a.ehr.deliveries()); n != 2 {
		t.Errorf("%d deliveries to ehr, want 2: nothing of it was replayed", n)
	}

	// Now both are delivered everywhere, and their payloads gone.
	answer(`{"since":"1h"}`, 0, 2)
	answer(`{"since":"1h","upstream":"lab"}`, 0, 2)
	answer(`{"dead":true}`, 0, 0)
	if r := a.ask("POST", "/scribegate/replay", `{"ids":["`+two+`"]}`); r.status != http.StatusConflict {
		t.Errorf("replay of an event without payload: %d %s", r.status, r.body)
	}
}

func TestAdminErrors(t *testing.T) {
	a := newAdminSite(t)
	id := a.settledNote("note-1")
	tests := []struct {
		name, method, path, body string
		status                   int
	}{
		{"unknown path", "GET", "/scribegate/nothing", "", 404},
		{"the folder itself", "GET", "/scribegate/", "", 404},
		{"more behind an event", "GET", "/scribegate/events/" + id + "/more", "", 404},
		{"unknown id", "GET", "/scribegate/events/soapnoteapi-00", "", 404},
		{"unknown id to replay", "POST", "/scribegate/replay", `{"ids":["soapnoteapi-00"]}`, 404},
		{"unknown id to purge", "POST", "/scribegate/purge", `{"ids":["` + id + `","soapnoteapi-00"]}`, 404},
		{"status by POST", "POST", "/scribegate/status", "", 405},
		{"events by DELETE", "DELETE", "/scribegate/events", "", 405},
		{"event by PUT", "PUT", "/scribegate/events/" + id, "{}", 405},
		{"payload by POST", "POST", "/scribegate/events/" + id + "/payload", "", 405},
		{"replay by GET", "GET", "/scribegate/replay", "", 405},
		{"purge by GET", "GET", "/scribegate/purge", "", 405},
		{"health by POST", "POST", "/scribegate/health/live", "", 405},
		{"no such probe", "GET", "/scribegate/health/well", "", 404},
		{"unknown state", "GET", "/scribegate/events?state=lost", "", 400},
		{"unknown upstream", "GET", "/scribegate/events?upstream=nobody", "", 400},
		{"subject with a space", "GET", "/scribegate/events?subject=Jane%20Doe", "", 400},
		{"subject with a line break", "GET", "/scribegate/events?subject=note-1%0A", "", 400},
		{"subject that is too long", "GET", "/scribegate/events?subject=" + strings.Repeat("n", 129), "", 400},
		{"subject given twice", "GET", "/scribegate/events?subject=a&subject=b", "", 400},
		{"type with a colon", "GET", "/scribegate/events?type=note:generated", "", 400},
		{"type that is a pattern", "GET", "/scribegate/events?type=*", "", 400},
		{"type that is too long", "GET", "/scribegate/events?type=" + strings.Repeat("n", 65), "", 400},
		{"events since a word", "GET", "/scribegate/events?since=ever", "", 400},
		{"events since a time", "GET", "/scribegate/events?since=2026-03-19T15:30:00Z", "", 400},
		{"events since tomorrow", "GET", "/scribegate/events?since=-1h", "", 400},
		{"events since now", "GET", "/scribegate/events?since=0s", "", 400},
		{"limit of none", "GET", "/scribegate/events?limit=0", "", 400},
		{"limit below none", "GET", "/scribegate/events?limit=-1", "", 400},
		{"limit in words", "GET", "/scribegate/events?limit=ten", "", 400},
		{"limit beyond reason", "GET", "/scribegate/events?limit=1000000000", "", 400},
		{"made-up cursor", "GET", "/scribegate/events?cursor=here", "", 400},
		{"unknown parameter", "GET", "/scribegate/events?stat=dead", "", 400},
		{"replay of nothing", "POST", "/scribegate/replay", "{}", 400},
		{"replay without a body", "POST", "/scribegate/replay", "", 400},
		{"replay of no ids", "POST", "/scribegate/replay", `{"ids":[]}`, 400},
		{"replay of two kinds", "POST", "/scribegate/replay", `{"dead":true,"since":"1h"}`, 400},
		{"replay before", "POST", "/scribegate/replay", `{"dead":true,"before":"1h"}`, 400},
		{"replay to nobody", "POST", "/scribegate/replay", `{"dead":true,"upstream":"nobody"}`, 400},
		{"replay to an empty name", "POST", "/scribegate/replay", `{"dead":true,"upstream":""}`, 400},
		{"replay of the quarantined", "POST", "/scribegate/replay", `{"quarantined":true}`, 400},
		{"replay of two states", "POST", "/scribegate/replay", `{"dead":true,"unrouted":true}`, 400},
		{"replay of two other states", "POST", "/scribegate/replay", `{"unconfirmed":true,"unrouted":true}`, 400},
		{"replay of a state and ids", "POST", "/scribegate/replay", `{"ids":["` + id + `"],"unrouted":true}`, 400},
		{"replay of a state and a time", "POST", "/scribegate/replay", `{"unconfirmed":true,"since":"1h"}`, 400},
		{"replay by force", "POST", "/scribegate/replay", `{"ids":["` + id + `"],"force":true}`, 400},
		{"replay that is dry", "POST", "/scribegate/replay", `{"dead":true,"dry_run":true}`, 400},
		{"replay since a word", "POST", "/scribegate/replay", `{"since":"ever"}`, 400},
		{"replay since tomorrow", "POST", "/scribegate/replay", `{"since":"-1h"}`, 400},
		{"replay of no JSON", "POST", "/scribegate/replay", `dead`, 400},
		{"replay with more behind", "POST", "/scribegate/replay", `{"dead":true} {}`, 400},
		{"replay with a bracket behind", "POST", "/scribegate/replay", `{"ids":["` + id + `"]}]`, 400},
		{"replay with a brace behind", "POST", "/scribegate/replay", `{"dead":true}}`, 400},
		{"replay with an unknown member", "POST", "/scribegate/replay", `{"dead":true,"upstreams":"ehr"}`, 400},
		{"replay with a member in capitals", "POST", "/scribegate/replay", `{"Dead":true}`, 400},
		{"replay with a member twice", "POST", "/scribegate/replay", `{"dead":true,"dead":true}`, 400},
		{"replay of a list", "POST", "/scribegate/replay", `["` + id + `"]`, 400},
		{"replay of an id that is not text", "POST", "/scribegate/replay", `{"ids":[1]}`, 400},
		{"replay of more than is read", "POST", "/scribegate/replay", `{"dead":true}` + strings.Repeat(" ", adminapi.MaxSelection), 400},
		{"purge of nothing", "POST", "/scribegate/purge", "{}", 400},
		{"purge since", "POST", "/scribegate/purge", `{"since":"1h"}`, 400},
		{"purge before, of ids", "POST", "/scribegate/purge", `{"ids":["` + id + `"],"before":"1h"}`, 400},
		{"purge before, of an upstream", "POST", "/scribegate/purge", `{"upstream":"lab","before":"1h"}`, 400},
		{"purge before a word", "POST", "/scribegate/purge", `{"dead":true,"before":"ever"}`, 400},
		{"purge before an empty time", "POST", "/scribegate/purge", `{"dead":true,"before":""}`, 400},
		{"purge before now", "POST", "/scribegate/purge", `{"dead":true,"before":"0s"}`, 400},
		{"purge of two kinds", "POST", "/scribegate/purge", `{"dead":true,"quarantined":true}`, 400},
		{"purge of two other states", "POST", "/scribegate/purge", `{"unrouted":true,"unconfirmed":true}`, 400},
		{"purge of three states", "POST", "/scribegate/purge", `{"dead":true,"quarantined":true,"unrouted":true}`, 400},
		{"purge of the unrouted of an upstream", "POST", "/scribegate/purge", `{"unrouted":true,"upstream":"lab"}`, 400},
		{"purge of the unrouted by force", "POST", "/scribegate/purge", `{"unrouted":true,"force":true}`, 400},
		{"purge of ids and the dead", "POST", "/scribegate/purge", `{"ids":["` + id + `"],"dead":true}`, 400},
		{"purge of the dead of an upstream", "POST", "/scribegate/purge", `{"dead":true,"upstream":"lab"}`, 400},
		{"purge of an unknown upstream", "POST", "/scribegate/purge", `{"upstream":"nobody"}`, 400},
		{"purge of an empty upstream", "POST", "/scribegate/purge", `{"upstream":""}`, 400},
		{"purge of nothing, dry", "POST", "/scribegate/purge", `{"dry_run":true}`, 400},
		{"purge of nothing by force", "POST", "/scribegate/purge", `{"force":true}`, 400},
		{"purge of the dead by force", "POST", "/scribegate/purge", `{"dead":true,"force":true}`, 400},
		{"purge with a bracket behind", "POST", "/scribegate/purge", `{"ids":["` + id + `"]}]`, 400},
		{"purge with more behind", "POST", "/scribegate/purge", `{"dead":true}{"dead":true}`, 400},
		{"purge with an unknown member", "POST", "/scribegate/purge", `{"dead":true,"dryrun":true}`, 400},
		{"purge with a member in capitals", "POST", "/scribegate/purge", `{"dead":true,"DRY_RUN":true}`, 400},
		{"dry purge of an unknown id", "POST", "/scribegate/purge", `{"ids":["soapnoteapi-00"],"dry_run":true}`, 404},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := a.ask(tt.method, tt.path, tt.body)
			if r.status != tt.status || r.header.Get("Content-Type") != "application/json" {
				t.Errorf("%d %s %s, want %d", r.status, r.header.Get("Content-Type"), r.body, tt.status)
			}
			var e map[string]any
			if err := json.Unmarshal([]byte(r.body), &e); err != nil {
				t.Fatalf("%v in %s", err, r.body)
			}
			if text, _ := fields(t, "error", e, "error")["error"].(string); text == "" {
				t.Errorf("error %v", e)
			}
			if allow := r.header.Get("Allow"); (allow != "") != (tt.status == http.StatusMethodNotAllowed) {
				t.Errorf("Allow: %q with %d", allow, r.status)
			}
		})
	}
	if ids, _ := a.listed("&state=dead", 10); len(ids) != 1 {
		t.Errorf("after nothing but errors: %v", ids)
	}
}

// Where no queue is open, every route says so.
func TestAdminWithoutQueue(t *testing.T) {
	a := newAdminSite(t)
	a.run("", "respond 200")
	for _, path := range []string{"GET /scribegate/status", "GET /scribegate/events", "GET /scribegate/events/x", "POST /scribegate/backup"} {
		method, path, _ := strings.Cut(path, " ")
		if r := a.ask(method, path, ""); r.status != http.StatusServiceUnavailable {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

// A replay ends a pause that the upstream requested, which could be a day: a replay
// implies that the upstream is back.
func TestReplayEndsAPause(t *testing.T) {
	a := newAdminSite(t)
	a.ehr.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "86400")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	accepted(t, a.site, "note-1")
	ehr := func() map[string]any {
		return a.object("GET", "/scribegate/status", "")["upstreams"].([]any)[0].(map[string]any)
	}
	eventually(t, "the upstream to be paused", func() bool { return ehr()["paused"] == true && ehr()["in_flight"] == 0.0 })
	a.ehr.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	if n := a.object("POST", "/scribegate/replay", `{"since":"1h","upstream":"ehr"}`)["replayed"]; n != 1.0 {
		t.Errorf("%v events replayed", n)
	}
	eventually(t, "the event to be delivered", func() bool { s := ehr(); return s["pending"] == 0.0 && s["paused"] == false })
}
