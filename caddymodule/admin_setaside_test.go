package caddymodule

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// storeSetAside stores an event that is set aside in a state, and returns its id. Its
// type is note.signed.
func storeSetAside(t *testing.T, state queue.State, subject string) string {
	t.Helper()
	id := "soapnoteapi-of-" + subject
	e := &event.Event{
		ID: id, Source: "https://soapnoteapi.com", Type: "com.soapnoteapi.note.signed", Subject: subject, Provider: "soapnoteapi",
		Kind: event.KindNote, ObjectID: subject, Status: "other", ReceivedAt: time.Now(), WithRaw: true, Body: []byte(soapnoteEvent("note.signed", subject)),
	}
	if _, err := gateway.Current().Queue().Store(t.Context(), queue.Item{Event: e, State: state}); err != nil {
		t.Fatal(err)
	}
	return id
}

// only has the upstreams of a configuration accept the types alone.
func only(app, types string) string {
	return strings.ReplaceAll(app, "retry", "events "+types+"\n\t\t\tretry")
}

// An unrouted event is listed, replayed once the configuration is repaired, by its id
// or with all others, and purged.
func TestAdminUnrouted(t *testing.T) {
	a := newAdminSite(t)
	both := upstreams("ehr", a.ehr.URL, "lab", a.lab.URL)
	a.run(only(both, "note.generated"), soapnoteTo("ehr lab"))
	post := func(subject string) string {
		t.Helper()
		return do(t, a.soapnote("/soapnote", soapnoteEvent("note.signed", subject))).id(t)
	}
	one, two, three := post("note-1"), post("note-2"), post("note-3")
	if ids, _ := a.listed("&state=unrouted", 2); !slices.Equal(ids, []string{three, two, one}) {
		t.Fatalf("unrouted: %v", ids)
	}
	if n := a.object("GET", "/scribegate/status", "")["queue"].(map[string]any)["unrouted"]; n != 3.0 {
		t.Errorf("%v unrouted in the status", n)
	}
	e := fields(t, "unrouted event", a.object("GET", "/scribegate/events/"+one, ""),
		"id", "provider", "type", "subject", "received_at", "payload", "state", "deliveries")
	if e["state"] != "unrouted" || e["payload"] != true || e["type"] != "note.signed" || e["subject"] != "note-1" || len(e["deliveries"].([]any)) != 0 {
		t.Errorf("unrouted event %v", e)
	}

	// Nothing is repaired yet.
	for _, body := range []string{`{"ids":["` + one + `"]}`, `{"ids":["` + two + `","` + one + `"],"upstream":"ehr"}`} {
		if r := a.ask("POST", "/scribegate/replay", body); r.status != http.StatusConflict || !strings.Contains(r.body, "no upstream accepts") || !strings.Contains(r.body, admin.RouteHint) {
			t.Errorf("%s: %d %s", body, r.status, r.body)
		}
	}
	done := fields(t, "replay", a.object("POST", "/scribegate/replay", `{"unrouted":true}`), "replayed", "without_payload", "unrouted")
	if done["replayed"] != 0.0 || done["unrouted"] != 3.0 {
		t.Errorf("replayed %v before the repair", done)
	}
	if out := a.command("replay", "--unrouted").Done(t).Out; out != "0 deliveries replayed, 3 events skipped since no upstream accepts the type\n" {
		t.Errorf("printed %q", out)
	}
	a.command("replay", one).Failed(t, admin.RouteHint)

	a.run(only(both, "note.generated note.signed"), soapnoteTo("ehr lab"))
	if n := a.object("POST", "/scribegate/replay", `{"ids":["`+one+`"],"upstream":"ehr"}`)["replayed"]; n != 1.0 {
		t.Errorf("%v deliveries replayed by id to one upstream", n)
	}
	a.settle()
	if got := a.states(one); !slices.Equal(got, []string{"ehr delivered"}) {
		t.Errorf("the event that was replayed by its id: %v", got)
	}
	a.purged(`{"unrouted":true,"before":"1h"}`, 0)
	a.purged(`{"ids":["`+three+`"]}`, 1)
	done = fields(t, "replay", a.object("POST", "/scribegate/replay", `{"unrouted":true}`), "replayed", "without_payload")
	if done["replayed"] != 2.0 {
		t.Errorf("replayed %v", done)
	}
	a.settle()
	if got := a.states(two); !slices.Equal(got, []string{"ehr delivered", "lab dead"}) {
		t.Errorf("the event that was replayed by its state: %v", got)
	}
	got := a.ehr.deliveries()
	if len(got) != 2 || got[0].header.Get("Webhook-Id") != one || got[1].header.Get("Webhook-Id") != two || !strings.Contains(string(got[0].body), `"note.signed"`) {
		t.Errorf("delivered %v", got)
	}
	if ids, _ := a.listed("&state=unrouted", 10); len(ids) != 0 {
		t.Errorf("still unrouted: %v", ids)
	}
}

// Each state that sets events aside is selected alone.
func TestAdminSetAside(t *testing.T) {
	a := newAdminSite(t)
	dead := a.settledNote("note-1")
	const bad = `{"no json`
	do(t, a.soapnote("/soapnote", bad))
	ids := map[queue.State]string{
		queue.Quarantined: soapnoteID(bad),
		queue.Unrouted:    storeSetAside(t, queue.Unrouted, "note-2"),
		queue.Unconfirmed: storeSetAside(t, queue.Unconfirmed, "note-3"),
	}
	for state, id := range ids {
		if got, _ := a.listed("&state="+string(state), 10); !slices.Equal(got, []string{id}) {
			t.Errorf("%s: %v", state, got)
		}
		rows := commandtest.Rows(a.command("events", "--state", string(state)).Done(t).Out)
		if len(rows) != 2 || rows[1][2] != id || rows[1][6] != string(state) {
			t.Errorf("events --state %s: %v", state, rows)
		}
		if out := a.command("show", id).Done(t).Out; !strings.Contains(out, "state         "+string(state)+"\npayload kept  yes\n") && state != queue.Quarantined {
			t.Errorf("show of an event that is %s:\n%s", state, out)
		}
	}
	if out := a.command("status").Done(t).Out; !strings.Contains(out, ", 1 quarantined, 1 unrouted, 1 unconfirmed, 0 unreadable\n") {
		t.Errorf("printed\n%s", out)
	}
	for state, id := range ids {
		args := []string{"purge", "--" + string(state)}
		if out := a.command(append(args, "--dry-run")...).Done(t).Out; out != "would purge 1 "+string(state)+" event\n" {
			t.Errorf("%v printed %q", args, out)
		}
		if out := a.command(append(args, "--before", "1h")...).Done(t).Out; out != "0 events purged\n" {
			t.Errorf("%v printed %q", args, out)
		}
		a.purged(fmt.Sprintf(`{"%s":true}`, state), 1)
		a.command("show", id).Failed(t, "no such event")
	}
	if got, _ := a.listed("", 10); !slices.Equal(got, []string{dead}) {
		t.Errorf("left: %v", got)
	}
}

// A replay of unconfirmed events delivers them.
func TestAdminReplayOfUnconfirmed(t *testing.T) {
	a := newAdminSite(t)
	id := storeSetAside(t, queue.Unconfirmed, "note-1")
	unrouted := storeSetAside(t, queue.Unrouted, "note-2")
	if out := a.command("replay", "--unconfirmed", "--upstream", "ehr").Done(t).Out; out != "1 delivery replayed\n" {
		t.Errorf("printed %q", out)
	}
	if got := a.ehr.wait(t, 1)[0].header.Get("Webhook-Id"); got != id {
		t.Errorf("delivered %s", got)
	}
	if ids, _ := a.listed("&state=unrouted", 10); !slices.Equal(ids, []string{unrouted}) {
		t.Errorf("unrouted: %v", ids)
	}
}

// Events are found by subject, type and time, and by several of them together.
func TestAdminFindsEvents(t *testing.T) {
	a := newAdminSite(t)
	first, second := a.settledNote("note-1"), a.settledNote("note-2")
	failed := do(t, a.soapnote("/soapnote", soapnoteEvent("note.failed", "note-1"))).id(t)
	a.settle()
	for query, want := range map[string][]string{
		"&subject=note-1":                            {failed, first},
		"&subject=note":                              nil,
		"&subject=NOTE-1":                            nil,
		"&subject=" + strings.Repeat("n", 128):       nil,
		"&subject=a:b_c.d-E":                         nil,
		"&type=note.generated":                       {second, first},
		"&type=note.failed":                          {failed},
		"&type=com.soapnoteapi.note.failed":          nil,
		"&type=" + strings.Repeat("n", 64):           nil,
		"&since=1h":                                  {failed, second, first},
		"&since=14d":                                 {failed, second, first},
		"&since=1ns":                                 nil,
		"&subject=note-1&type=note.generated":        {first},
		"&subject=note-2&type=note.failed":           nil,
		"&subject=note-1&state=dead&upstream=lab":    {failed, first},
		"&subject=note-1&state=dead&upstream=ehr":    nil,
		"&type=note.failed&state=delivered&since=1h": {failed},
		"&subject=&type=&since=&state=&upstream=":    {failed, second, first},
	} {
		for _, limit := range []int{1, 100} {
			if got, _ := a.listed(query, limit); !slices.Equal(got, want) {
				t.Errorf("%s by %d: %v, want %v", query, limit, got, want)
			}
		}
	}
	for args, want := range map[string][]string{
		"--subject note-1":                    {failed, first},
		"--type note.failed":                  {failed},
		"--since 1h --limit 2":                {failed, second},
		"--subject note-2 --type note.failed": nil,
	} {
		var listed []admin.Event
		a.command(append([]string{"events", "--json"}, strings.Fields(args)...)...).Done(t).Decode(t, &listed)
		var got []string
		for _, e := range listed {
			got = append(got, e.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("events %s: %v, want %v", args, got, want)
		}
	}
	rows := commandtest.Rows(a.command("events", "--subject", "note-2").Done(t).Out)
	if len(rows) != 3 || rows[1][3] != "note-2" || rows[2][3] != "note-2" {
		t.Errorf("printed %v", rows)
	}
}

// A subject shows all events of a note, each with its attempts and, if requested, its
// payload, whose reading is audited.
func TestShowBySubject(t *testing.T) {
	captured.reset()
	a := newAdminSite(t)
	first := a.settledNote("note-1")
	second := do(t, a.soapnote("/soapnote", soapnoteEvent("note.failed", "note-1"))).id(t)
	a.settledNote("note-2")
	out := a.command("show", "note-1").Done(t).Out
	head, _, _ := strings.Cut(out, "\n")
	if head != "id            "+second || strings.Count(out, "lab: dead after 1 attempt\n") != 2 || strings.Count(out, "subject       note-1\n") != 2 ||
		!strings.Contains(out, "\n\nid            "+first+"\n") || strings.Contains(out, "note-2") {
		t.Errorf("printed\n%s", out)
	}
	var all []map[string]any
	a.command("show", "note-1", "--json").Done(t).Decode(t, &all)
	if len(all) != 2 || all[0]["id"] != second || all[1]["id"] != first {
		t.Fatalf("as JSON: %v", all)
	}
	for _, e := range all {
		if want := a.object("GET", "/scribegate/events/"+e["id"].(string), ""); fmt.Sprint(e) != fmt.Sprint(want) {
			t.Errorf("shown %v, want %v", e, want)
		}
	}
	a.command("show", "note-1", "--payload").Failed(t, "admin_payloads")

	a.run(strings.Replace(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), "QUEUE", "QUEUE\n\t\tadmin_payloads", 1), soapnoteTo("ehr lab"))
	captured.reset()
	all = nil
	a.command("show", "note-1", "--payload", "--json").Done(t).Decode(t, &all)
	for _, e := range all {
		if _, ok := e["content"].(map[string]any)["event"]; !ok {
			t.Errorf("shown without its payload: %v", e)
		}
	}
	if out := a.command("show", "note-1", "--payload").Done(t).Out; strings.Count(out, `"event": {`) != 2 || !strings.Contains(out, "PATIENT-TEXT") {
		t.Errorf("printed\n%s", out)
	}
	lines := captured.with(t, string(audit.PayloadRead))
	if len(lines) != 4 {
		t.Errorf("%d lines in the audit trail, want one for each reading", len(lines))
	}

	// One payload is deleted, and then both.
	a.lab.respond(nil)
	a.object("POST", "/scribegate/replay", `{"ids":["`+first+`"],"upstream":"lab"}`)
	a.settle()
	all = nil // or what is not there any more would stay in it
	a.command("show", "note-1", "--payload", "--json").Done(t).Decode(t, &all)
	if all[0]["content"] == nil || all[1]["content"] != nil || all[1]["payload"] != false {
		t.Errorf("with one payload left: %v", all)
	}
	a.object("POST", "/scribegate/replay", `{"dead":true}`)
	a.settle()
	a.command("show", "note-1", "--payload").Failed(t, "payload is no longer kept; it is deleted with the last delivery")
	a.command("show", "note-9").Failed(t, "no such event")
}
