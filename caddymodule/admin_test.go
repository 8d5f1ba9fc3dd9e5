package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// An adminSite is a site with an admin endpoint.
type adminSite struct {
	*site
	admin string // host and port

	ehr, lab *backend // lab says that it is gone
}

// newAdminSite runs a gateway with two upstreams, of which one kills every
// event.
func newAdminSite(t *testing.T) *adminSite {
	t.Helper()
	a := &adminSite{site: newSite(t), admin: "127.0.0.1:" + freePort(t), ehr: newBackend(t), lab: newBackend(t)}
	a.lab.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	a.run(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), soapnoteTo("ehr lab"))
	return a
}

// run loads a configuration with the admin endpoint.
func (a *adminSite) run(app, block string) {
	a.t.Helper()
	cfg, err := adapt(strings.Replace(a.caddyfile(app, block), "admin off", "admin "+a.admin, 1))
	if err != nil {
		a.t.Fatal(err)
	}
	if err := caddy.Load(cfg, true); err != nil {
		a.t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
}

// settledNote posts a note and waits until both upstreams have decided.
func (a *adminSite) settledNote(id string) string {
	a.t.Helper()
	event := accepted(a.t, a.site, id)
	a.settle()
	return event
}

func (a *adminSite) settle() {
	a.t.Helper()
	eventually(a.t, "every delivery to be settled", func() bool {
		for _, u := range queued(a.t).Upstreams {
			if u.Pending > 0 {
				return false
			}
		}
		return true
	})
}

// ask sends a request to the admin API.
func (a *adminSite) ask(method, path, body string) reply {
	a.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(a.t.Context(), method, "http://"+a.admin+path, content)
	if err != nil {
		a.t.Fatal(err)
	}
	return do(a.t, r)
}

// object asks and decodes a 200.
func (a *adminSite) object(method, path, body string) map[string]any {
	a.t.Helper()
	r := a.ask(method, path, body)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" {
		a.t.Fatalf("%s %s: %d %s %s", method, path, r.status, r.header.Get("Content-Type"), r.body)
	}
	var v map[string]any
	if err := json.Unmarshal([]byte(r.body), &v); err != nil {
		a.t.Fatalf("%s %s: %v in %s", method, path, err, r.body)
	}
	return v
}

// fields fails the test unless an object has just these members.
func fields(t *testing.T, what string, object any, names ...string) map[string]any {
	t.Helper()
	m, ok := object.(map[string]any)
	if !ok {
		t.Fatalf("%s is no object: %v", what, object)
	}
	slices.Sort(names)
	if got := slices.Sorted(maps.Keys(m)); !slices.Equal(got, names) {
		t.Errorf("%s has the members %v, want %v", what, got, names)
	}
	return m
}

func TestAdminStatus(t *testing.T) {
	a := newAdminSite(t)
	fresh := a.object("GET", "/scribegate/status", "")
	for _, u := range fresh["upstreams"].([]any) {
		fields(t, "an upstream that never succeeded", u, "name", "pending", "in_flight", "dead", "paused", "orphaned", "oldest_pending_seconds")
	}
	a.settledNote("note-1")

	s := fields(t, "status", a.object("GET", "/scribegate/status", ""), "queue", "upstreams")
	q := fields(t, "queue", s["queue"], "engine", "bytes", "max_bytes", "quarantined", "unrouted", "unconfirmed", "unreadable")
	if q["engine"] != "sqlite" || q["bytes"].(float64) <= 0 || q["max_bytes"] != float64(10<<30) || q["quarantined"] != 0.0 || q["unreadable"] != 0.0 {
		t.Errorf("queue %v", q)
	}
	all := s["upstreams"].([]any)
	if len(all) != 2 {
		t.Fatalf("upstreams %v", all)
	}
	ehr := fields(t, "ehr", all[0], "name", "pending", "in_flight", "dead", "paused", "orphaned", "oldest_pending_seconds", "last_success")
	lab := fields(t, "lab", all[1], "name", "pending", "in_flight", "dead", "paused", "orphaned", "oldest_pending_seconds", "last_failure")
	if ehr["name"] != "ehr" || ehr["pending"] != 0.0 || ehr["dead"] != 0.0 || ehr["paused"] != false || ehr["orphaned"] != false || ehr["oldest_pending_seconds"] != 0.0 {
		t.Errorf("ehr %v", ehr)
	}
	if lab["name"] != "lab" || lab["dead"] != 1.0 || lab["pending"] != 0.0 {
		t.Errorf("lab %v", lab)
	}
	if f := fields(t, "last failure", lab["last_failure"], "at", "outcome", "status"); f["outcome"] != "gone" || f["status"] != 410.0 {
		t.Errorf("last failure %v", f)
	}
}

// The status says why an upstream is paused, until when, and what its last attempt
// met.
func TestAdminStatusOfAPause(t *testing.T) {
	a := newAdminSite(t)
	a.lab.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	a.run(upstreams("away", "http://"+commandtest.ClosedPort(t), "lab", a.lab.URL), soapnoteTo("away lab"))
	accepted(t, a.site, "note-1")
	var away, lab map[string]any
	eventually(t, "both upstreams to be paused", func() bool {
		all := a.object("GET", "/scribegate/status", "")["upstreams"].([]any)
		away, lab = all[0].(map[string]any), all[1].(map[string]any)
		return away["paused"] == true && lab["paused"] == true && lab["in_flight"] == 0.0
	})
	members := []string{"name", "pending", "in_flight", "dead", "paused", "paused_until", "pause_reason", "orphaned", "oldest_pending_seconds", "last_failure"}
	fields(t, "an upstream that is away", away, members...)
	fields(t, "an upstream that asks to wait", lab, members...)
	until := func(u map[string]any) time.Duration {
		t.Helper()
		at, err := time.Parse(time.RFC3339, u["paused_until"].(string))
		if err != nil {
			t.Fatal(err)
		}
		return time.Until(at)
	}
	if ahead := until(away); away["pause_reason"] != "failures" || ahead > time.Minute {
		t.Errorf("away is paused by %v for %s", away["pause_reason"], ahead)
	}
	if f := fields(t, "last failure", away["last_failure"], "at", "outcome"); f["outcome"] != "connect_error" {
		t.Errorf("last failure %v", f)
	}
	if ahead := until(lab); lab["pause_reason"] != "retry_after" || ahead > time.Hour || ahead < 59*time.Minute {
		t.Errorf("lab is paused by %v for %s", lab["pause_reason"], ahead)
	}
	if f := lab["last_failure"].(map[string]any); f["outcome"] != "failure" || f["status"] != 503.0 {
		t.Errorf("last failure %v", f)
	}
	out := a.command("status").Done(t).Out
	for _, want := range []string{"yes, probe ", "ago: no connection\n", "yes, for 59m, as requested", "ago: status 503\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("status printed no %q:\n%s", want, out)
		}
	}
}

func TestAdminEvent(t *testing.T) {
	a := newAdminSite(t)
	id := a.settledNote("note-1")
	e := fields(t, "event", a.object("GET", "/scribegate/events/"+id, ""), "id", "provider", "type", "subject", "received_at", "payload", "state", "deliveries")
	if e["id"] != id || e["state"] != "dead" || e["provider"] != "soapnoteapi" || e["type"] != "note.generated" || e["payload"] != true {
		t.Errorf("event %v", e)
	}
	deliveries := e["deliveries"].([]any)
	if len(deliveries) != 2 {
		t.Fatalf("deliveries %v", deliveries)
	}
	for i, want := range []struct {
		upstream, state, outcome string
		status                   float64
	}{{"ehr", "delivered", "success", 204}, {"lab", "dead", "gone", 410}} {
		d := fields(t, "delivery", deliveries[i], "upstream", "state", "attempts", "history")
		if d["upstream"] != want.upstream || d["state"] != want.state || d["attempts"] != 1.0 {
			t.Errorf("delivery %v, want %+v", d, want)
		}
		h := fields(t, "attempt", d["history"].([]any)[0], "attempt", "at", "seconds", "outcome", "status")
		if h["attempt"] != 1.0 || h["outcome"] != want.outcome || h["status"] != want.status || h["seconds"].(float64) < 0 {
			t.Errorf("attempt %v, want %+v", h, want)
		}
	}
}

// A delivery that waits for its next attempt says when that is, and an attempt
// without an answer has no status.
func TestAdminPendingDelivery(t *testing.T) {
	a := newAdminSite(t)
	a.run(upstreams("ehr", "http://"+commandtest.ClosedPort(t)), soapnoteTo("ehr"))
	id := accepted(t, a.site, "note-1")
	settled(t, id, 1)
	listed := a.object("GET", "/scribegate/events?state=pending", "")["events"].([]any)
	d := fields(t, "delivery", listed[0].(map[string]any)["deliveries"].([]any)[0], "upstream", "state", "attempts", "unused", "next_attempt")
	if d["state"] != "pending" || d["attempts"].(float64) < 1 || d["unused"] != d["attempts"] {
		t.Errorf("delivery %v", d)
	}
	shown := a.object("GET", "/scribegate/events/"+id, "")["deliveries"].([]any)[0].(map[string]any)
	h := fields(t, "attempt", shown["history"].([]any)[0], "attempt", "at", "seconds", "outcome", "unused")
	if h["outcome"] != "connect_error" || h["unused"] != true {
		t.Errorf("attempt %v", h)
	}
}

// listed pages through a listing and returns the ids, newest first.
func (a *adminSite) listed(query string, limit int) (ids []string, pages int) {
	a.t.Helper()
	for cursor := ""; ; {
		page := a.object("GET", fmt.Sprintf("/scribegate/events?limit=%d&cursor=%s%s", limit, cursor, query), "")
		pages++
		for _, e := range page["events"].([]any) {
			ids = append(ids, e.(map[string]any)["id"].(string))
		}
		next, more := page["next_cursor"].(string)
		if !more {
			fields(a.t, "the last page", page, "events")
			return ids, pages
		}
		fields(a.t, "a page before the last", page, "events", "next_cursor")
		cursor = next
	}
}

func TestAdminEvents(t *testing.T) {
	a := newAdminSite(t)
	if empty := a.ask("GET", "/scribegate/events", ""); strings.TrimSpace(empty.body) != `{"events":[]}` {
		t.Errorf("an empty queue lists %s", empty.body)
	}
	var ids []string
	for i := range 5 {
		ids = append([]string{a.settledNote(fmt.Sprintf("note-%d", i))}, ids...)
	}
	if r := do(t, a.soapnote("/soapnote", `{"event":`)); r.status != http.StatusBadRequest {
		t.Fatalf("answer %d to an invalid payload", r.status)
	}
	quarantined, _ := a.listed("&state=quarantined", 10)
	if len(quarantined) != 1 {
		t.Fatalf("quarantined: %v", quarantined)
	}
	all := append(slices.Clone(quarantined), ids...)

	tests := []struct {
		query string
		limit int
		want  []string
		pages int
	}{
		{"", 100, all, 1},
		{"", 6, all, 1}, // a page that is just full is the last one
		{"", 4, all, 2},
		{"", 1, all, 6},
		{"&state=delivered", 2, ids, 3},
		{"&state=delivered&upstream=ehr", 5, ids, 1},
		{"&state=dead", 3, ids, 2},
		{"&state=dead&upstream=lab", 100, ids, 1},
		{"&state=dead&upstream=ehr", 100, nil, 1},
		{"&state=pending", 100, nil, 1},
		{"&upstream=lab", 100, ids, 1},
	}
	for _, tt := range tests {
		got, pages := a.listed(tt.query, tt.limit)
		if !slices.Equal(got, tt.want) || pages != tt.pages {
			t.Errorf("%s by %d: %d pages with %v, want %d with %v", tt.query, tt.limit, pages, got, tt.pages, tt.want)
		}
	}

	e := fields(t, "quarantined event", a.object("GET", "/scribegate/events/"+quarantined[0], ""),
		"id", "provider", "type", "subject", "received_at", "payload", "state", "reason", "deliveries")
	if e["type"] != "other" || len(e["deliveries"].([]any)) != 0 || e["state"] != "quarantined" || e["reason"] != "malformed JSON" {
		t.Errorf("quarantined event %v", e)
	}
	if n := a.object("GET", "/scribegate/status", "")["queue"].(map[string]any)["quarantined"]; n != 1.0 {
		t.Errorf("%v quarantined in the status", n)
	}
}

func TestAdminPayload(t *testing.T) {
	captured.reset()
	a := newAdminSite(t)
	id := a.settledNote("note-1")
	path := "/scribegate/events/" + id + "/payload"
	r := a.ask("GET", path, "")
	if r.status != http.StatusForbidden || strings.Contains(r.body, "PATIENT") || !strings.Contains(r.body, `{"error":"`) {
		t.Errorf("without admin_payloads: %d %s", r.status, r.body)
	}
	if r := a.ask("GET", "/scribegate/events/unknown/payload", ""); r.status != http.StatusForbidden {
		t.Errorf("an unknown id has another answer without admin_payloads: %d", r.status)
	}

	a.run(strings.Replace(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), "QUEUE", "QUEUE\n\t\tadmin_payloads", 1), soapnoteTo("ehr lab"))
	captured.reset()
	if r := a.ask("GET", path, ""); r.status != http.StatusOK || !strings.Contains(r.body, "PATIENT-TEXT") || !strings.Contains(r.body, id) {
		t.Errorf("with admin_payloads: %d %s", r.status, r.body)
	}
	lines := captured.with(t, "a payload was read")
	if len(lines) != 1 || lines[0]["event_id"] != id || lines[0]["subject"] != "note-1" {
		t.Errorf("log lines %v", lines)
	}
	if strings.Contains(captured.String(), "PATIENT-TEXT") {
		t.Error("the payload is in the log")
	}
	if r := a.ask("GET", "/scribegate/events/unknown/payload", ""); r.status != http.StatusNotFound {
		t.Errorf("an unknown id: %d %s", r.status, r.body)
	}
	for _, body := range []string{`{"no":"json`, "\xff\xfe"} {
		if r := do(t, a.soapnote("/soapnote", body)); r.status != http.StatusBadRequest {
			t.Fatalf("answer %d to an invalid payload", r.status)
		}
	}
	ids, _ := a.listed("&state=quarantined", 10)
	for i, want := range []string{`"body_base64":"//4="`, `"body":"{\"no\":\"json"`} {
		if r := a.ask("GET", "/scribegate/events/"+ids[i]+"/payload", ""); !strings.Contains(r.body, want) {
			t.Errorf("quarantined bytes: %d %s, want %s", r.status, r.body, want)
		}
	}
}
