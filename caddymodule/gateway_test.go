package caddymodule

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

const oneUpstream = `	scribegate {
		QUEUE
		signing_secret {env.SIGNING_SECRET}
		upstream ehr `

const bothProviders = `
	scribegate /soapnote soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		deliver_to ehr
	}
	scribegate /soniox soniox {
		header X-Webhook-Secret {env.SONIOX_SECRET}
		deliver_to ehr
	}`

func TestEventGoesFromProviderToUpstream(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"/events\n\t}", bothProviders)

	payload := note("note-1")
	first := do(t, s.soapnote("/soapnote?user_id=7", payload))
	if first.status != http.StatusOK || first.header.Get("Content-Type") != "application/json" {
		t.Fatalf("answer %d %v %s", first.status, first.header, first.body)
	}
	id := first.id(t)
	again := do(t, s.soapnote("/soapnote?user_id=7", payload))
	if want := `{"received":true,"id":"` + id + `","duplicate":true}`; again.body != want {
		t.Errorf("second answer %s, want %s", again.body, want)
	}
	if got := do(t, s.soniox("/soniox", transcription("tr-1"))); got.status != http.StatusOK {
		t.Errorf("soniox: answer %d %s", got.status, got.body)
	}

	got := b.wait(t, 2)
	if len(got) != 2 {
		t.Fatalf("%d deliveries, want 2: the duplicate is not one", len(got))
	}
	for _, d := range got {
		eventtest.Validate(t, d.body)
		if d.uri != "/events" {
			t.Errorf("delivered to %s", d.uri)
		}
	}
	var doc struct {
		ID   string `json:"id"`
		Data struct {
			Note     json.RawMessage     `json:"note"`
			Metadata map[string][]string `json:"metadata"`
		} `json:"data"`
	}
	for _, d := range got {
		if d.header.Get("Webhook-Id") != id {
			continue
		}
		if err := json.Unmarshal(d.body, &doc); err != nil {
			t.Fatal(err)
		}
	}
	if doc.ID != id || !bytes.Contains([]byte(payload), doc.Data.Note) || len(doc.Data.Note) == 0 {
		t.Errorf("event %s with note %s, want that of %s byte for byte", doc.ID, doc.Data.Note, id)
	}
	if v := doc.Data.Metadata["user_id"]; len(v) != 1 || v[0] != "7" {
		t.Errorf("metadata %v", doc.Data.Metadata)
	}
	eventually(t, "an empty queue", func() bool { return queued(t).Upstreams[0].Pending == 0 })
	if n := queued(t).Queue.Bytes; n != 0 {
		t.Errorf("%d bytes of payload are left after the last delivery", n)
	}
}
