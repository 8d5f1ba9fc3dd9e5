package caddymodule

import (
	"net/http"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// SOAPNoteAPI never sends again, so genuine bytes that are no event are kept,
// once, and delivered to nobody.
func TestQuarantine(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.load(captureLog+oneUpstream+b.URL+" {\n\t\t\tevents *\n\t\t}\n\t}", bothProviders)
	captured.reset()
	for body, reason := range map[string]string{
		"": "not a JSON object", "[1]": "not a JSON object", "\xff\xfe": "not valid UTF-8", `{"event":"note.generated"}`: "note_id is missing",
	} {
		id := soapnoteID(body)
		for range 3 {
			if got := do(t, s.soapnote("/soapnote?user_id=7", body)); got.status != http.StatusBadRequest {
				t.Fatalf("%q: answer %d %s", body, got.status, got.body)
			}
		}
		q := gateway.Current().Queue()
		record, err := q.Event(t.Context(), id)
		if err != nil {
			t.Fatalf("%q: %v", body, err)
		}
		if record.State != queue.Quarantined || !record.HasPayload || record.Reason != reason || record.Type != "other" || record.Provider != "soapnoteapi" || len(record.Deliveries) != 0 {
			t.Errorf("%q: record %+v", body, record)
		}
		kept, err := q.Payload(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if string(kept.Body) != body || kept.ID != id || kept.Type != "com.soapnoteapi.other" {
			t.Errorf("kept %q with id %s and type %s, want %q", kept.Body, kept.ID, kept.Type, body)
		}
	}
	if lines := captured.with(t, "a genuine request with an invalid payload is quarantined"); len(lines) != 4 {
		t.Errorf("%d lines tell of it, want one for each body", len(lines))
	}
	// Soniox sends again, and its result stays where it is.
	for range 2 {
		if got := do(t, s.soniox("/soniox", "[1]")); got.status != http.StatusBadRequest {
			t.Errorf("soniox: answer %d %s", got.status, got.body)
		}
	}
	all, quarantined := stored(t)
	if all != 4 || quarantined != 4 {
		t.Errorf("%d events are stored, %d of them quarantined, want 4 and 4", all, quarantined)
	}
	if n := queued(t).Queue.Quarantined; n != 4 {
		t.Errorf("the status tells of %d quarantined events", n)
	}
	page, err := gateway.Current().Queue().Events(t.Context(), queue.Filter{State: queue.Quarantined, Limit: 10})
	if err != nil || len(page.Records) != 4 {
		t.Errorf("%d are listed as quarantined, %v", len(page.Records), err)
	}
	// A good event goes out, and none of them did before it.
	if got := do(t, s.soapnote("/soapnote", note("good"))); got.status != http.StatusOK {
		t.Fatalf("answer %d %s", got.status, got.body)
	}
	if got := b.wait(t, 1); len(got) != 1 || got[0].header.Get("Webhook-Id") != soapnoteID(note("good")) {
		t.Errorf("%d deliveries, the first of %s", len(got), got[0].header.Get("Webhook-Id"))
	}
}

// A checkpoint keeps nothing, beside handlers that do.
func TestCheckpointQuarantinesNothing(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", bothProviders+`
	handle /checkpoint {
		scribegate soapnoteapi {
			secret {env.SOAPNOTE_SECRET}
		}
		respond "the next handler"
	}`)
	got := do(t, s.soapnote("/checkpoint", "[]"))
	if got.status != http.StatusBadRequest || got.body != `{"error":"invalid payload: not a JSON object"}` {
		t.Errorf("answer %d %s", got.status, got.body)
	}
	if all, _ := stored(t); all != 0 {
		t.Errorf("%d events are stored", all)
	}
}
