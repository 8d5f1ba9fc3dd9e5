package caddymodule

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// failing answers with a status.
func failing(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
}

// Purged purges, after a dry run that says the same and changes nothing.
func (a *adminSite) purged(body string, want float64) {
	a.t.Helper()
	before := a.everything()
	for _, b := range []string{strings.TrimSuffix(body, "}") + `,"dry_run":true}`, body} {
		if got := fields(a.t, "purge", a.object("POST", "/scribegate/purge", b), "purged")["purged"]; got != want {
			a.t.Errorf("%s: %v, want %v", b, got, want)
		}
		if b != body && !slices.Equal(a.everything(), before) {
			a.t.Errorf("%s changed something", b)
		}
	}
}

// everything lists what is in the store: each event's id and states.
func (a *adminSite) everything() (events []string) {
	a.t.Helper()
	for _, e := range a.object("GET", "/scribegate/events", "")["events"].([]any) {
		e := e.(map[string]any)
		events = append(events, fmt.Sprint(e["id"], statesOf(e)))
	}
	return events
}

// states are where an event's deliveries stand, each as "upstream state".
func (a *adminSite) states(id string) []string {
	a.t.Helper()
	return statesOf(a.object("GET", "/scribegate/events/"+id, ""))
}

func statesOf(event map[string]any) (states []string) {
	for _, d := range event["deliveries"].([]any) {
		d := d.(map[string]any)
		states = append(states, d["upstream"].(string)+" "+d["state"].(string))
	}
	return states
}

func TestAdminPurge(t *testing.T) {
	a := newAdminSite(t)
	one := a.settledNote("note-1") // delivered to ehr, dead for the lab
	a.lab.respond(failing(http.StatusInternalServerError))
	waits := accepted(t, a.site, "note-2")
	settled(t, waits, 1)
	const bad = `{"no json`
	do(t, a.soapnote("/soapnote", bad))

	a.purged(`{"dead":true,"before":"1h"}`, 0)
	a.purged(`{"quarantined":true,"before":"1h"}`, 0)
	a.purged(`{"dead":true}`, 1)
	if got := a.states(one); !slices.Equal(got, []string{"ehr delivered"}) {
		t.Errorf("the event that was dead for one upstream: %v", got)
	}
	if n := queued(t).Queue.Quarantined; n != 1 {
		t.Errorf("%d quarantined events, want the one that there was", n)
	}
	a.purged(`{"dead":true}`, 0)
	a.purged(`{"quarantined":true}`, 1)
	a.purged(`{"quarantined":true}`, 0)

	for _, dry := range []string{"", `,"dry_run":true`} {
		r := a.ask("POST", "/scribegate/purge", `{"ids":["`+one+`","`+waits+`"]`+dry+`}`)
		if r.status != http.StatusConflict || !strings.Contains(r.body, waits) || !strings.Contains(r.body, "still waits for an upstream: lab; use force") {
			t.Errorf("an event that an upstream waits for: %d %s", r.status, r.body)
		}
	}
	if got := a.states(waits); !slices.Equal(got, []string{"ehr delivered", "lab pending"}) {
		t.Errorf("after a purge that was refused: %v", got)
	}
	a.purged(`{"ids":["`+one+`"]}`, 1)
	a.purged(`{"ids":["`+waits+`"],"force":true}`, 1)
	if ids, _ := a.listed("", 10); len(ids) != 0 {
		t.Errorf("left: %v", ids)
	}
	if n := queued(t).Queue.Bytes; n != 0 {
		t.Errorf("%d bytes are left", n)
	}

	// The id is forgotten: who sends the webhook again has it delivered.
	a.lab.respond(nil)
	n := len(a.ehr.deliveries())
	if r := do(t, a.soapnote("/soapnote", note("note-1"))); r.id(t) != one || strings.Contains(r.body, "duplicate") {
		t.Errorf("sent again: %s", r.body)
	}
	a.ehr.wait(t, n+1)
}

// An upstream is renamed while events wait for it: what waits for the old name is
// replayed by nobody and deleted without the rest of its events.
func TestUpstreamIsRenamed(t *testing.T) {
	captured.reset()
	a := newAdminSite(t)
	dead := a.settledNote("dead for the lab")
	a.lab.respond(failing(http.StatusInternalServerError))
	a.ehr.respond(failing(http.StatusInternalServerError))
	waits := accepted(t, a.site, "waits for both")
	settled(t, waits, 2)
	a.run(upstreams("ehr", a.ehr.URL, "archive", a.lab.URL), soapnoteTo("ehr archive"))
	if warned := captured.with(t, "events wait for an upstream that is not configured"); len(warned) != 1 || warned[0]["upstream"] != "lab" {
		t.Errorf("warnings %v", warned)
	}

	for _, body := range []string{`{"since":"1h","upstream":"lab"}`, `{"dead":true,"upstream":"lab"}`, `{"ids":["` + waits + `"],"upstream":"lab"}`} {
		r := a.ask("POST", "/scribegate/replay", body)
		if r.status != http.StatusBadRequest || !strings.Contains(r.body, "configured are: ehr, archive") {
			t.Errorf("replay %s: %d %s", body, r.status, r.body)
		}
	}
	a.command("replay", "unknown").Failed(t, "no such event; `caddy scribegate events` lists the stored events")
	orphan(t, "one")
	a.command("replay", "one").Failed(t, "no such event for upstream ehr, archive: it is for old\n")
	a.purged(`{"upstream":"old"}`, 1)
	if n := a.object("POST", "/scribegate/replay", `{"dead":true}`)["replayed"]; n != 0.0 {
		t.Errorf("%v deliveries are replayed to an upstream that is not configured", n)
	}
	if got := a.states(dead); !slices.Equal(got, []string{"ehr delivered", "lab dead"}) {
		t.Errorf("after the replays: %v", got)
	}

	a.purged(`{"upstream":"lab"}`, 2)
	if got := a.states(dead); !slices.Equal(got, []string{"ehr delivered"}) {
		t.Errorf("the event that was delivered elsewhere: %v", got)
	}
	if got := a.states(waits); !slices.Equal(got, []string{"ehr pending"}) {
		t.Errorf("the event that another upstream waits for: %v", got)
	}
	for _, u := range queued(t).Upstreams {
		if u.Orphaned {
			t.Errorf("%s is orphaned still", u.Name)
		}
	}
	if r := a.ask("POST", "/scribegate/purge", `{"upstream":"lab"}`); r.status != http.StatusBadRequest || !strings.Contains(r.body, "known are: archive, ehr") {
		t.Errorf("an upstream that nothing is left of: %d %s", r.status, r.body)
	}
	a.ehr.respond(nil)
	a.object("POST", "/scribegate/replay", `{"since":"1h"}`)
	eventually(t, "the healthy upstream to have its event", func() bool { return slices.Equal(a.states(waits), []string{"ehr delivered"}) })
}

// What is purged while it is being delivered stays purged, whatever the backend
// answers, and the upstream goes on.
func TestPurgeWhileDelivering(t *testing.T) {
	a := newAdminSite(t)
	for _, status := range []int{http.StatusNoContent, http.StatusInternalServerError, http.StatusGone} {
		came, letGo := make(chan struct{}, 1), make(chan struct{})
		a.lab.respond(func(w http.ResponseWriter, _ *http.Request) {
			came <- struct{}{}
			<-letGo
			w.WriteHeader(status)
		})
		id := accepted(t, a.site, http.StatusText(status))
		<-came
		eventually(t, "the other upstream's delivery", func() bool { return slices.Contains(a.states(id), "ehr delivered") })
		a.purged(`{"upstream":"lab"}`, 1)
		n := len(a.lab.deliveries())
		a.lab.respond(nil)
		close(letGo)
		next := accepted(t, a.site, "after "+http.StatusText(status))
		eventually(t, "the next event", func() bool { return slices.Equal(a.states(next), []string{"ehr delivered", "lab delivered"}) })
		if got := a.states(id); !slices.Equal(got, []string{"ehr delivered"}) {
			t.Errorf("%d: what was purged: %v", status, got)
		}
		if got := len(a.lab.deliveries()); got != n+1 {
			t.Errorf("%d: the lab got %d requests more, want that of the next event", status, got-n)
		}
	}
}

func TestPurgeCommand(t *testing.T) {
	a := newAdminSite(t)
	id := a.settledNote("note-1")
	a.settledNote("note-2")
	do(t, a.soapnote("/soapnote", `{"no json`))
	a.lab.respond(failing(http.StatusInternalServerError))
	settled(t, accepted(t, a.site, "note-3"), 1)
	a.command("purge", soapnoteID(note("note-3"))).Failed(t, "still waits for an upstream: lab; use force")
	for _, tt := range []struct{ args, want string }{
		{"purge --dead --before 1h", "0 events purged"},
		{"purge --dead --dry-run", "would purge the dead deliveries of 2 events"},
		{"purge --dead --dry-run --yes", "would purge the dead deliveries of 2 events"},
		{"purge --quarantined --before 1h", "0 events purged"},
		{"purge --quarantined --dry-run", "would purge 1 quarantined event"},
		{"purge --upstream lab --dry-run", "would purge the pending and dead deliveries to lab of 3 events"},
		{"purge " + id + " --dry-run", "would purge 1 event with every delivery"},
		{"purge " + id + " --yes", "1 event purged"},
		{"purge --dead", "1 event purged"},
		{"purge --dead", "0 events purged"},
		{"purge --upstream lab", "1 event purged"},
		{"purge --quarantined", "1 event purged"},
		{"purge " + soapnoteID(note("note-3")) + " --force", "1 event purged"},
	} {
		if out := a.command(strings.Fields(tt.args)...).Done(t).Out; strings.TrimSpace(out) != tt.want {
			t.Errorf("%s printed %q, want %q", tt.args, out, tt.want)
		}
	}
	var done map[string]any
	for _, args := range []string{"purge --dead --json", "purge --dead --dry-run --json"} {
		a.command(strings.Fields(args)...).Done(t).Decode(t, &done)
		if fields(t, "purge", done, "purged")["purged"] != 0.0 {
			t.Errorf("%s printed %v", args, done)
		}
	}
	a.command("show", id).Failed(t, "no such event")
}
