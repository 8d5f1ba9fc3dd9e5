package caddymodule

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/metrics"
)

// outcomeSite has a handler of each kind. Its answers and its access log show the
// placeholders.
const outcomeSite = `
	log {
		output capture
		format json
	}
	log_append provider {http.scribegate.provider}
	log_append type {http.scribegate.type}
	log_append outcome {http.scribegate.outcome}
	log_append reason {http.scribegate.reason}
	header >X-Was "{http.scribegate.provider}|{http.scribegate.event_id}|{http.scribegate.type}|{http.scribegate.outcome}|{http.scribegate.reason}"
	scribegate /soapnote soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		drop note.failed
		deliver_to ehr
	}
	scribegate /soniox soniox {
		header X-Webhook-Secret {env.SONIOX_SECRET}
		deliver_to ehr
	}
	handle /checkpoint {
		scribegate soapnoteapi {
			secret {env.SOAPNOTE_SECRET}
		}
		respond "{http.scribegate.outcome} {http.scribegate.event_id}"
	}
	respond 404`

func sonioxID(id, status string) string {
	sum := sha256.Sum256([]byte("https://soniox.com\x00" + id + "\x00" + status))
	return "soniox-" + hex.EncodeToString(sum[:])[:32]
}

func soapnoteEvent(event, id string) string {
	return fmt.Sprintf(`{"event":%q,"note_id":%q,"status":"x","created_at":"2026-03-19T15:30:00.000Z","data":{}}`, event, id)
}

// Each request has one outcome, with the same word in the metric, the audit trail, the placeholders
// and the access log.
func TestOutcomes(t *testing.T) {
	a := newAdminSite(t)
	a.run(strings.Replace(upstreams("ehr", a.ehr.URL), "retry", "events note.generated note.amended\n\t\t\tretry", 1), outcomeSite)
	forged := a.soapnote("/soapnote", note("forged"))
	forged.Header.Set("X-SoapNoteAPI-Signature", strings.Repeat("0", 64))
	get, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+"/soapnote", nil)
	if err != nil {
		t.Fatal(err)
	}
	id := func(body string) string { return soapnoteID(body) }
	made, amended, failed, test, signed := note("outcomes"), soapnoteEvent("note.amended", "outcomes"), soapnoteEvent("note.failed", "outcomes"), soapnoteEvent("test", "outcomes"), soapnoteEvent("note.signed", "outcomes")
	const invalid = `{"event":"note.generated"}`
	const heard = `{"id":"outcomes","status":"completed"}`
	for _, row := range []struct {
		name, event string // the event is a type
		request     *http.Request
		id          string
		outcome     string
		reason      string
	}{
		{"accepted", "note.generated", a.soapnote("/soapnote", made), id(made), "accepted", ""},
		{"again", "note.generated", a.soapnote("/soapnote", made), id(made), "duplicate", ""},
		{"a later type that is named", "note.amended", a.soapnote("/soapnote", amended), id(amended), "accepted", ""},
		{"of a type that nobody takes", "note.signed", a.soapnote("/soapnote", signed), id(signed), "unrouted", ""},
		{"the same again", "note.signed", a.soapnote("/soapnote", signed), id(signed), "duplicate", ""},
		{"of a type that is dropped", "note.failed", a.soapnote("/soapnote", failed), id(failed), "dropped", ""},
		{"a test that nobody takes", "test", a.soapnote("/soapnote", test), id(test), "accepted", ""},
		{"of a provider whose types nobody takes", "transcription.completed", a.soniox("/soniox", heard), sonioxID("outcomes", "completed"), "unrouted", ""},
		{"passed", "note.generated", a.soapnote("/checkpoint", made), id(made), "passed", ""},
		{"a test that is passed", "test", a.soapnote("/checkpoint", test), id(test), "passed", ""},
		{"a dropped type that is passed", "note.failed", a.soapnote("/checkpoint", failed), id(failed), "passed", ""},
		{"quarantined", "other", a.soapnote("/soapnote", invalid), id(invalid), "rejected", "payload"},
		{"invalid at a checkpoint", "", a.soapnote("/checkpoint", invalid), "", "rejected", "payload"},
		{"forged", "", forged, "", "rejected", "signature_mismatch"},
		{"not POST", "", get, "", "rejected", "method"},
	} {
		t.Run(row.name, func(t *testing.T) {
			provider := "soapnoteapi"
			if strings.HasPrefix(row.id, "soniox") {
				provider = "soniox"
			}
			captured.reset()
			before := a.metrics()
			got := do(t, row.request)
			want := strings.Join([]string{provider, row.id, row.event, row.outcome, row.reason}, "|")
			if was := got.header.Get("X-Was"); was != want {
				t.Errorf("the placeholders of the answer are %q, want %q", was, want)
			}
			if row.outcome == "passed" && got.body != "passed "+row.id {
				t.Errorf("the next handler has the placeholders %q", got.body)
			}

			eventually(t, "the line of the access log", func() bool { return len(captured.with(t, "handled request")) == 1 })
			line := captured.with(t, "handled request")[0]
			for field, want := range map[string]string{"provider": provider, "type": row.event, "outcome": row.outcome, "reason": row.reason} {
				if line[field] != want {
					t.Errorf("the access log has the %s %q, want %q", field, line[field], want)
				}
			}
			if logged, there := line["event_id"]; there != (row.id != "") || there && logged != row.id {
				t.Errorf("the access log has the event_id %v, want %q", logged, row.id)
			}

			now := a.metrics()
			for _, outcome := range []string{"accepted", "duplicate", "unrouted", "dropped", "passed"} {
				name := fmt.Sprintf(`scribegate_events_received_total{outcome=%q,provider=%q,type=%q}`, outcome, provider, metrics.TypeLabel(row.event))
				added := 0.0
				if outcome == row.outcome {
					added = 1
				}
				if n := now.since(before, name); n != added {
					t.Errorf("%s has risen by %v, want %v", name, n, added)
				}
			}

			words := []string{row.outcome}
			if row.event == "other" {
				words = []string{"quarantined", "rejected"}
			}
			var trail []string
			eventually(t, fmt.Sprintf("%d lines of the audit trail", len(words)), func() bool {
				trail = nil
				for _, l := range captured.with(t, "") {
					if l["logger"] == "scribegate.audit" && l["msg"] != "delivered" {
						trail = append(trail, l["msg"].(string))
						if row.id != "" && l["event_id"] != row.id {
							t.Errorf("the audit trail has the event_id %v, want %s", l["event_id"], row.id)
						}
					}
				}
				return len(trail) >= len(words)
			})
			if !slices.Equal(trail, words) {
				t.Errorf("the audit trail has %q, want %q", trail, words)
			}
			if strings.Contains(captured.String(), "PATIENT-TEXT") {
				t.Error("the log holds a part of the payload")
			}
		})
	}
}

// The payload of an event that is dropped, or of a test event that no upstream receives, is not
// stored, but the event is traced.
func TestUndeliveredIsTraced(t *testing.T) {
	a := newAdminSite(t)
	a.run(strings.Replace(upstreams("ehr", a.ehr.URL), "retry", "events note.generated\n\t\t\tretry", 1), outcomeSite)
	for _, event := range []string{"note.failed", "test"} {
		id := do(t, a.soapnote("/soapnote", soapnoteEvent(event, "traced"))).id(t)
		e := a.object("GET", "/scribegate/events/"+id, "")
		if deliveries := e["deliveries"].([]any); e["payload"] != false || len(deliveries) != 0 || e["type"] != event {
			t.Errorf("%s is shown as %v, want it without payload and deliveries", event, e)
		}
	}
	if n := queued(t).Queue.Bytes; n != 0 {
		t.Errorf("the queue holds %d bytes", n)
	}
}

const warnsUnrouted = "an event was answered and is not delivered"

// A configuration warns about each type once, and about a bounded number of types.
func TestWarnsOfUnrouted(t *testing.T) {
	captured.reset()
	s, b := newSite(t), newBackend(t)
	app := strings.Replace(upstreams("ehr", b.URL), "retry", "events note.generated\n\t\t\tretry", 1)
	sent := 0
	run := func(want ...string) {
		t.Helper()
		s.load(app, outcomeSite)
		captured.reset()
		for range 3 {
			for _, event := range []string{"note.failed", "note.signed", "note.amended", "test"} {
				do(t, s.soapnote("/soapnote", soapnoteEvent(event, fmt.Sprint(sent))))
				sent++
			}
		}
		var types []string
		for _, line := range captured.with(t, warnsUnrouted) {
			types = append(types, line["type"].(string))
			if line["level"] != "warn" || line["provider"] != "soapnoteapi" || line["source"] != "https://soapnoteapi.com" || fmt.Sprint(line["upstreams"]) != "[ehr]" ||
				!strings.Contains(line["msg"].(string), "caddy scribegate replay --unrouted") {
				t.Errorf("line %v", line)
			}
		}
		if !slices.Equal(types, want) {
			t.Errorf("warned of %q, want %q", types, want)
		}
	}
	run("note.signed", "note.amended")
	run("note.signed", "note.amended") // the configuration is a new one

	captured.reset()
	for i := range 2 * maxTypes {
		do(t, s.soapnote("/soapnote", soapnoteEvent(fmt.Sprint("made.up.", i), "many")))
	}
	if n := len(captured.with(t, warnsUnrouted)); n != maxTypes-2 {
		t.Errorf("warned of %d more types, want %d", n, maxTypes-2)
	}
}
