package caddymodule

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
)

// An event is delivered to those upstreams of deliver_to whose `events` have its type.
func TestFanOut(t *testing.T) {
	s := newSite(t)
	names := []string{"plain", "all", "tests", "failures", "later", "unnamed"}
	events := map[string]string{"all": "events *", "tests": "events test note.failed", "failures": "events note.failed transcription.error", "later": "events note.amended"}
	backends := make(map[string]*backend)
	app := "\tscribegate {\n\t\tQUEUE\n"
	for _, name := range names {
		backends[name] = newBackend(t)
		app += fmt.Sprintf("\t\tupstream %s %s {\n\t\t\ttimeout 10s\n\t\t\t%s\n\t\t}\n", name, backends[name].URL, events[name])
	}
	s.load(app+"\t}", `
	scribegate /soapnote soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		deliver_to plain all tests failures later
	}
	scribegate /soniox soniox {
		header X-Webhook-Secret {env.SONIOX_SECRET}
		deliver_to plain all failures
	}
	scribegate /tests soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		deliver_to plain
	}`)

	payload := func(event string) string {
		return fmt.Sprintf(`{"event":%q,"note_id":"fan-out","status":"x","created_at":"2026-03-19T15:30:00.000Z","data":{}}`, event)
	}
	rows := []struct {
		name    string
		request *http.Request
		want    []string
	}{
		{"note.generated", s.soapnote("/soapnote", payload("note.generated")), []string{"plain", "all"}},
		{"note.failed", s.soapnote("/soapnote", payload("note.failed")), []string{"plain", "all", "tests", "failures"}},
		{"test", s.soapnote("/soapnote", payload("test")), []string{"all", "tests"}},
		{"an event added later, that an upstream names", s.soapnote("/soapnote", payload("note.amended")), []string{"plain", "all", "later"}},
		{"an event added later", s.soapnote("/soapnote", payload("note.signed")), []string{"plain", "all"}},
		{"an event that is no word", s.soapnote("/soapnote", payload("note amended!")), []string{"plain", "all"}},
		{"transcription.completed", s.soniox("/soniox", transcription("fan-out")), []string{"plain", "all"}},
		{"transcription.error", s.soniox("/soniox", `{"id":"fan-out","status":"error"}`), []string{"plain", "all", "failures"}},
		{"a test that nobody wants", s.soapnote("/tests", payload("test")+" "), nil},
	}
	want := make(map[string][]string) // backend to ids
	for _, row := range rows {
		got := do(t, row.request)
		if got.status != http.StatusOK {
			t.Fatalf("%s: answer %d %s", row.name, got.status, got.body)
		}
		for _, name := range row.want {
			want[name] = append(want[name], got.id(t))
		}
		record, err := gateway.Current().Queue().Event(t.Context(), got.id(t))
		if err != nil {
			t.Fatalf("%s: %v", row.name, err)
		}
		var to []string
		for _, d := range record.Deliveries {
			to = append(to, d.Upstream)
		}
		if !slices.Equal(slices.Sorted(slices.Values(to)), slices.Sorted(slices.Values(row.want))) {
			t.Errorf("%s: goes to %v, want %v", row.name, to, row.want)
		}
	}
	// What nobody wants is accepted, remembered all the same, and takes no room.
	again := do(t, s.soapnote("/tests", payload("test")+" "))
	if want := `{"received":true,"id":"` + soapnoteID(payload("test")+" ") + `","duplicate":true}`; again.body != want {
		t.Errorf("the unwanted event again: %s, want %s", again.body, want)
	}
	for name, ids := range want {
		backends[name].wait(t, len(ids))
	}
	eventually(t, "an empty queue", func() bool { return queued(t).Queue.Bytes == 0 })
	for _, name := range slices.Sorted(maps.Keys(backends)) {
		var ids []string
		for _, d := range backends[name].deliveries() {
			ids = append(ids, d.header.Get("Webhook-Id"))
		}
		if !slices.Equal(slices.Sorted(slices.Values(ids)), slices.Sorted(slices.Values(want[name]))) {
			t.Errorf("%s got %v, want %v", name, ids, want[name])
		}
	}
}
