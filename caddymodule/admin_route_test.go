package caddymodule

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// Every route refuses what it does not know, in its method, its path and its query,
// before it does anything.
func TestAdminRoutes(t *testing.T) {
	a := newAdminSite(t)
	id := a.settledNote("note-1")
	for _, rt := range []admin.Route{
		admin.RouteLive, admin.RouteReady, admin.RouteStatus, admin.RouteEvents, admin.RouteEvent,
		admin.RoutePayload, admin.RouteReplay, admin.RoutePurge, admin.RouteCompact, admin.RouteBackup,
	} {
		path, other := admin.Prefix+strings.Replace(rt.Path, "{id}", id, 1), http.MethodPost
		if rt.Method == http.MethodPost {
			other = http.MethodGet
		}
		for _, tt := range []struct {
			name, method, path, body string
			status                   int
			says                     string
		}{
			{"another method", other, path, "", 405, "method not allowed"},
			{"a deletion", http.MethodDelete, path, "", 405, "method not allowed"},
			{"a question for what may be done", http.MethodOptions, path, "", 405, "method not allowed"},
			{"an unknown parameter", rt.Method, path + "?stat=dead", "", 400, `unknown query parameter "stat"`},
			{"a parameter without a value", rt.Method, path + "?dead", "", 400, `unknown query parameter "dead"`},
			{"a parameter without a name", rt.Method, path + "?=dead", "", 400, `unknown query parameter ""`},
			{"a parameter with another case", rt.Method, path + "?State=dead", "", 400, `unknown query parameter "State"`},
			{"a query that cannot be read", rt.Method, path + "?state=%zz", "", 400, "the query cannot be parsed"},
			{"a semicolon", rt.Method, path + "?state=dead;limit=1", "", 400, "the query cannot be parsed"},
			{"a slash behind it", rt.Method, path + "/", "", 404, "unknown path"},
			{"more behind it", rt.Method, path + "/more/behind/it", "", 404, "unknown path"},
			{"another case", rt.Method, admin.Prefix + strings.ToUpper(rt.Path), "", 404, "unknown path"},
		} {
			r := a.ask(tt.method, tt.path, tt.body)
			if r.status != tt.status || !strings.HasPrefix(r.body, `{"error":"`) || !strings.Contains(strings.ReplaceAll(r.body, `\"`, `"`), tt.says) {
				t.Errorf("%s: %s: %d %s, want %d with %q", rt.Path, tt.name, r.status, r.body, tt.status, tt.says)
			}
			allow := ""
			if tt.status == http.StatusMethodNotAllowed {
				allow = rt.Method
			}
			if got := r.header.Get("Allow"); got != allow {
				t.Errorf("%s: %s: Allow is %q, want %q", rt.Path, tt.name, got, allow)
			}
		}
		if r := a.ask(http.MethodHead, path, ""); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != rt.Method {
			t.Errorf("%s: HEAD: %d, Allow %q", rt.Path, r.status, r.header.Get("Allow"))
		}
		if rt.Method != http.MethodGet {
			continue
		}
		for _, body := range []string{"state=dead", "{}"} {
			if r := a.ask(http.MethodGet, path, body); r.status != http.StatusBadRequest || !strings.Contains(r.body, "this route takes no body") {
				t.Errorf("%s with the body %s: %d %s", rt.Path, body, r.status, r.body)
			}
		}
		for _, name := range rt.Parameters {
			if r := a.ask(http.MethodGet, path+"?"+name+"=x&"+name+"=x", ""); r.status != http.StatusBadRequest || !strings.Contains(r.body, "is given 2 times") {
				t.Errorf("%s twice: %d %s", name, r.status, r.body)
			}
			if r := a.ask(http.MethodGet, path+"?"+name+"=", ""); r.status != http.StatusOK {
				t.Errorf("%s with no value: %d %s", name, r.status, r.body)
			}
		}
	}
	if ids, _ := a.listed("", 10); !slices.Equal(ids, []string{id}) {
		t.Errorf("after nothing but errors: %v", ids)
	}
	for _, path := range []string{"/scribegate/", "/scribegate/events/", "/scribegate/events%2F" + id, "/scribegate/nothing", "/scribegate/events/" + id + "/payload/"} {
		if r := a.ask("GET", path, ""); r.status != http.StatusNotFound || !strings.Contains(r.body, "unknown path") {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}

// An event is found by its id whatever that is made of.
func TestAdminEventsWithOddIDs(t *testing.T) {
	a := newAdminSite(t)
	a.run(strings.Replace(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), "QUEUE", "QUEUE\n\t\tadmin_payloads", 1), soapnoteTo("ehr lab"))
	for _, id := range []string{"a/b", "a%2Fb", "..", ".", "a b", "?x=1", "a;b#c", "ünïcode", "a/payload", "-", "health/live", "\x00\xff"} {
		e := &event.Event{ID: id, Provider: "soapnoteapi", Type: "com.soapnoteapi.note.generated", ReceivedAt: time.Now(), Body: []byte("{}")}
		if _, err := gateway.Current().Queue().Store(t.Context(), queue.Item{Event: e, Upstreams: []string{"old"}}); err != nil {
			t.Fatal(err)
		}
		for _, path := range []string{admin.RouteEvent.WithID(id).Path, admin.RoutePayload.WithID(id).Path} {
			r := a.ask("GET", admin.Prefix+path, "")
			var got struct{ ID string }
			if err := json.Unmarshal([]byte(r.body), &got); r.status != http.StatusOK || err != nil {
				t.Errorf("%q by %s: %d %s", id, path, r.status, r.body)
			}
		}
		var shown struct{ ID string }
		commandtest.Run(t, "", "show", "--json", "--address", a.admin, "--", id).Done(t).Decode(t, &shown)
		if want := strings.ToValidUTF8(id, "\ufffd"); shown.ID != want {
			t.Errorf("show printed the event %q, want %q", shown.ID, want)
		}
	}
	if r := a.ask("GET", "/scribegate/events/"+url.PathEscape("a/c"), ""); r.status != http.StatusNotFound || !strings.Contains(r.body, "no such event") {
		t.Errorf("an id that is not there: %d %s", r.status, r.body)
	}
}
