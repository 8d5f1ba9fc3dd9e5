package eventtest_test

import (
	"strings"
	"testing"

	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

const note = `{"specversion":"1.0","id":"soapnoteapi-00112233445566778899aabbccddeeff","source":"https://soapnoteapi.com",` +
	`"type":"com.soapnoteapi.note.generated","subject":"a1","time":"2026-03-19T15:30:00.000Z",` +
	`"datacontenttype":"application/json","expirytime":"2026-03-20T15:30:00.000Z",` +
	`"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","tracestate":"a=b",` +
	`"data":{"provider":"soapnoteapi","kind":"note","id":"a1","status":"completed","occurred_at":"2026-03-19T15:30:00.000Z",` +
	`"received_at":"2026-03-19T15:30:00.412Z","note":{},"metadata":{"user_id":["1"]}}}`

const added = `{"specversion":"1.0","id":"soapnoteapi-00112233445566778899aabbccddeeff","source":"https://soapnoteapi.com",` +
	`"type":"com.soapnoteapi.note.signed","time":"2026-03-19T15:30:00.000Z","datacontenttype":"application/json",` +
	`"data":{"provider":"soapnoteapi","kind":"note","id":"a1","status":"signed",` +
	`"received_at":"2026-03-19T15:30:00.412Z","note":7,"metadata":{},"raw":{}}}`

const quarantined = `{"specversion":"1.0","id":"soapnoteapi-00112233445566778899aabbccddeeff","source":"https://soapnoteapi.com",` +
	`"type":"com.soapnoteapi.other","time":"2026-03-19T15:30:00.412Z","datacontenttype":"application/json",` +
	`"data":{"provider":"soapnoteapi","kind":"note","id":"","status":"other",` +
	`"received_at":"2026-03-19T15:30:00.412Z","metadata":{}}}`

const transcription = `{"specversion":"1.0","id":"soniox-00112233445566778899aabbccddeeff","source":"https://soniox.com",` +
	`"type":"com.soniox.transcription.error","subject":"t1","time":"2026-03-19T15:30:00.412Z",` +
	`"datacontenttype":"application/json","data":{"provider":"soniox","kind":"transcription","id":"t1","status":"failed",` +
	`"received_at":"2026-03-19T15:30:00.412Z","metadata":{},"raw":{"id":"t1"}}}`

const plugin = `{"specversion":"1.0","id":"acme-1","source":"https://acme.example","type":"com.acme.visit.closed",` +
	`"time":"2026-03-19T15:30:00Z","datacontenttype":"application/json","data":{"provider":"acme","kind":"note",` +
	`"id":"v1","status":"closed","received_at":"2026-03-19T15:30:00.412Z","metadata":{}}}`

func TestValidateTakesEvents(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"note": note, "added": added, "quarantined": quarantined, "transcription": transcription, "plugin": plugin,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eventtest.Validate(t, []byte(doc))
		})
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, doc, old, with string }{
		{"not JSON", note, `{"specversion"`, `{specversion`},
		{"trailing data", note, `["1"]}}}`, `["1"]}}}{}`},
		{"another specversion", note, `"1.0"`, `"0.3"`},
		{"no id", note, `"id":"soapnoteapi-00112233445566778899aabbccddeeff",`, ``},
		{"short id", note, `ddeeff"`, `ddeef"`},
		{"upper-case id", note, `ddeeff"`, `ddeeFF"`},
		{"id of another provider", note, `"soapnoteapi-`, `"soniox-`},
		{"no source", note, `"source":"https://soapnoteapi.com",`, ``},
		{"empty source", note, `"https://soapnoteapi.com"`, `""`},
		{"source that is no URI", note, `"https://soapnoteapi.com"`, `"http://a b/%zz"`},
		{"type outside the provider's", note, `com.soapnoteapi.note`, `com.acme.note`},
		{"type with a space", added, `note.signed`, `note signed`},
		{"type too long", added, `note.signed`, strings.Repeat("a", 65)},
		{"subject with a space", note, `"subject":"a1"`, `"subject":"a 1"`},
		{"subject too long", note, `"subject":"a1"`, `"subject":"` + strings.Repeat("a", 129) + `"`},
		{"empty subject", note, `"subject":"a1"`, `"subject":""`},
		{"no time", note, `"time":"2026-03-19T15:30:00.000Z",`, ``},
		{"time that is none", note, `"time":"2026-03-19T15:30:00.000Z"`, `"time":"yesterday"`},
		{"another content type", note, `application/json`, `text/plain`},
		{"expirytime that is none", note, `"expirytime":"2026-03-20T15:30:00.000Z"`, `"expirytime":"soon"`},
		{"traceparent that is none", note, `"00-4bf9`, `"4bf9`},
		{"attribute not known", note, `"data":`, `"patient":"x","data":`},
		{"no data", note, note[strings.Index(note, `,"data"`):], `}`},
		{"data of another provider", note, `"provider":"soapnoteapi"`, `"provider":"soniox"`},
		{"another kind", note, `"kind":"note"`, `"kind":"transcription"`},
		{"kind not known", plugin, `"kind":"note"`, `"kind":"visit"`},
		{"empty note_id", note, `"id":"a1"`, `"id":""`},
		{"status of another type", note, `"completed"`, `"failed"`},
		{"status with a space", added, `"signed"`, `"is signed"`},
		{"occurred_at that is none", note, `"occurred_at":"2026-03-19T15:30:00.000Z"`, `"occurred_at":"then"`},
		{"no received_at", note, `"received_at":"2026-03-19T15:30:00.412Z",`, ``},
		{"received_at without decimals", note, `00.412Z`, `00Z`},
		{"received_at in another zone", note, `00.412Z`, `00.412+00:00`},
		{"generated without note", note, `"note":{},`, ``},
		{"note that is no object", note, `"note":{}`, `"note":[]`},
		{"generated with raw", note, `"note":{}`, `"note":{},"raw":{}`},
		{"no metadata", note, `,"metadata":{"user_id":["1"]}`, ``},
		{"metadata that is no list", note, `["1"]`, `"1"`},
		{"metadata of numbers", note, `["1"]`, `[1]`},
		{"metadata without values", note, `["1"]`, `[]`},
		{"data not known", note, `"metadata"`, `"text":"x","metadata"`},
		{"added event without raw", added, `,"raw":{}`, ``},
		{"raw that is no object", added, `"raw":{}`, `"raw":[]`},
		{"quarantined with a note", quarantined, `"metadata"`, `"note":{},"metadata"`},
		{"quarantined with a subject", quarantined, `"time"`, `"subject":"a","time"`},
		{"transcription without raw", transcription, `,"raw":{"id":"t1"}`, ``},
		{"transcription without subject", transcription, `"subject":"t1",`, ``},
		{"transcription with a note", transcription, `"metadata"`, `"note":{},"metadata"`},
		{"transcription with the provider's status", transcription, `"failed"`, `"error"`},
		{"transcription of another type", transcription, `transcription.error`, `transcription.queued`},
		{"transcription id with a dot", transcription, `"id":"t1","status"`, `"id":"t.1","status"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			doc := strings.Replace(tt.doc, tt.old, tt.with, 1)
			if doc == tt.doc {
				t.Fatalf("the case changes nothing: %q is not in the document", tt.old)
			}
			if eventtest.Check([]byte(doc)) == nil {
				t.Errorf("taken for an event: %s", doc)
			}
		})
	}
}

func TestValidateFailsTheTest(t *testing.T) {
	t.Parallel()
	r := &recorder{}
	eventtest.Validate(r, []byte(`{}`))
	if !r.failed {
		t.Error("an invalid event did not fail the test")
	}
}

type recorder struct {
	testing.TB
	failed bool
}

func (*recorder) Helper()                 {}
func (r *recorder) Errorf(string, ...any) { r.failed = true }
