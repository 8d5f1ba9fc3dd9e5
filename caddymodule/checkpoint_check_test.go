package caddymodule

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

// checkHeaders reports unexpected headers, and missing ones.
func checkHeaders(t *testing.T, got delivered, want ...[]string) {
	t.Helper()
	expected := slices.Sorted(slices.Values(slices.Concat(want...)))
	if names := slices.Sorted(maps.Keys(got.header)); !slices.Equal(names, expected) {
		t.Errorf("headers %v, want %v", names, expected)
	}
	for name, values := range got.header {
		if strings.Contains(strings.Join(values, ","), "inbound-value") && name != "X-Forwarded-Host" {
			t.Errorf("an inbound header is left: %s: %v", name, values)
		}
	}
	if got.header.Get("X-Forwarded-For") != "127.0.0.1" || strings.Contains(got.header.Get("X-Forwarded-Host"), "inbound") {
		t.Errorf("X-Forwarded-For %q, X-Forwarded-Host %q, want reverse_proxy's own", got.header.Get("X-Forwarded-For"), got.header.Get("X-Forwarded-Host"))
	}
	if got.header.Get("Scribegate-Attempt") != "1" || got.header.Get("User-Agent") != "Scribegate/"+build.Version() {
		t.Errorf("attempt %q, User-Agent %q", got.header.Get("Scribegate-Attempt"), got.header.Get("User-Agent"))
	}
	if at, err := strconv.ParseInt(got.header.Get("Webhook-Timestamp"), 10, 64); err != nil || time.Since(time.Unix(at, 0)).Abs() > time.Minute {
		t.Errorf("webhook-timestamp %q", got.header.Get("Webhook-Timestamp"))
	}
	if n := got.header.Get("Content-Length"); n != strconv.Itoa(len(got.body)) {
		t.Errorf("Content-Length %q for %d bytes", n, len(got.body))
	}
}

// noteData is the part of an event about the request.
type noteData struct {
	ID       string              `json:"id"`
	Note     json.RawMessage     `json:"note"`
	Metadata map[string][]string `json:"metadata"`
}

func (d noteData) check(t *testing.T, body string) {
	t.Helper()
	if d.ID != "checkpoint" || len(d.Note) == 0 || !strings.Contains(body, string(d.Note)) {
		t.Errorf("note %s of %s, want the provider's, byte for byte", d.Note, d.ID)
	}
	if m := d.Metadata; !slices.Equal(m["user_id"], []string{"7", "8"}) || !slices.Equal(m["order"], []string{" x"}) || len(m) != 3 {
		t.Errorf("metadata %v", m)
	}
}

func checkStructured(t *testing.T, got delivered, id, body string) {
	t.Helper()
	checkHeaders(t, got, fromProxy, ofDelivery, []string{"Webhook-Signature"})
	if ct := got.header.Get("Content-Type"); ct != "application/cloudevents+json; charset=utf-8" {
		t.Errorf("Content-Type %q", ct)
	}
	eventtest.Validate(t, got.body)
	var doc struct {
		ID   string   `json:"id"`
		Type string   `json:"type"`
		Data noteData `json:"data"`
	}
	if err := json.Unmarshal(got.body, &doc); err != nil {
		t.Fatal(err)
	}
	if doc.ID != id || doc.Type != "com.soapnoteapi.note.generated" || got.header.Get("Webhook-Id") != id {
		t.Errorf("event %s of type %s, webhook-id %s, want %s", doc.ID, doc.Type, got.header.Get("Webhook-Id"), id)
	}
	doc.Data.check(t, body)
}

func checkBinary(t *testing.T, got delivered, id, body string) {
	t.Helper()
	attributes := map[string]string{
		"Ce-Specversion": "1.0", "Ce-Id": id, "Ce-Source": "https://soapnoteapi.com", "Ce-Type": "com.soapnoteapi.note.generated",
		"Ce-Subject": "checkpoint", "Ce-Time": "2026-03-19T15:30:00.000Z", "Ce-Expirytime": "2026-03-20T15:30:00.000Z",
	}
	checkHeaders(t, got, fromProxy, ofDelivery, []string{"Webhook-Signature"}, slices.Collect(maps.Keys(attributes)))
	for name, want := range attributes {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	if ct := got.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type %q", ct)
	}
	var data noteData
	if err := json.Unmarshal(got.body, &data); err != nil {
		t.Fatal(err)
	}
	data.check(t, body)
}

// checkRaw reports each part of a request that was changed on its way. The headers that
// reverse_proxy itself removes or sets are ignored.
func checkRaw(t *testing.T, got delivered, body string) {
	t.Helper()
	if string(got.body) != body {
		t.Errorf("body %s, want the provider's", got.body)
	}
	for name, want := range inbound {
		switch name {
		case "Proxy-Connection", "X-Forwarded-For", "X-Forwarded-Host":
			continue
		}
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	timestamp := got.header.Get(verifier.TimestampHeader)
	if got.header.Get(verifier.SignatureHeader) != verifier.Sign(testSecret, timestamp, got.body) {
		t.Error("the backend cannot verify the provider's signature any more")
	}
	if sees := got.header.Get("X-Sees-Cookie"); sees != "cookie:session=inbound-value" {
		t.Errorf("placeholders see %q", sees)
	}
}
