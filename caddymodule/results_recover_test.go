package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/examples/providers/standin"
)

const webhookURL = "https://hooks.example.com/soniox"

// missed is a transcription whose webhook was answered 502 in place of the gateway.
func missed(query string) standin.Transcription {
	return standin.Transcription{WebhookURL: webhookURL + query, WebhookStatusCode: http.StatusBadGateway}
}

// recover requests a recovery and returns its result.
func (a *adminSite) recover(body string) admin.Recovered {
	a.t.Helper()
	got := a.ask(http.MethodPost, "/scribegate/recover", body)
	if got.status != http.StatusOK {
		a.t.Fatalf("%s was answered %d %s", body, got.status, got.body)
	}
	var done admin.Recovered
	if err := json.Unmarshal([]byte(got.body), &done); err != nil {
		a.t.Fatal(err)
	}
	return done
}

// A transcription whose webhook never arrived is found, delivered once, and the same event
// as its webhook's.
func TestReconcile(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	id := providers.AddTranscription(missed("?visit=7"))
	providers.AddTranscription(standin.Transcription{WebhookURL: "https://other.example.com/soniox", WebhookStatusCode: http.StatusBadGateway})
	providers.AddTranscription(standin.Transcription{WebhookURL: webhookURL, WebhookStatusCode: http.StatusOK})
	providers.AddTranscription(standin.Transcription{WebhookURL: webhookURL, WebhookStatusCode: http.StatusBadGateway, Status: standin.Processing})
	s, ehr := newSite(t), newBackend(t)
	s.load(upstreams("ehr", ehr.URL), sonioxAPI("webhook_url "+webhookURL+"\nreconcile 1s\ndeliver_to ehr"))
	got := ehr.wait(t, 1)[0]
	d := dataOf(t, got)
	if d.Metadata["visit"][0] != "7" || string(d.Raw) != transcription(id) || d.Transcription == nil || d.Transcription.Transcript == nil {
		t.Errorf("the event is %s", got.body)
	}
	// The webhook, late, is a duplicate.
	late := do(t, s.soniox("/soniox?visit=7", transcription(id)))
	if late.status != http.StatusOK || !strings.Contains(late.body, `"duplicate":true`) || late.id(t) != got.header.Get("webhook-id") {
		t.Errorf("the late webhook was answered %d %s, want a duplicate of %s", late.status, late.body, got.header.Get("webhook-id"))
	}
	looks := providers.Count(standin.ListTranscriptions)
	eventually(t, "two further looks", func() bool { return providers.Count(standin.ListTranscriptions) >= looks+2 })
	if n := len(ehr.deliveries()); n != 1 {
		t.Errorf("%d deliveries, want 1", n)
	}
}

// What the store has the trace of is not recovered again, also after the dedupe window.
func TestReconcileKnowsTraces(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	id := providers.AddTranscription(missed(""))
	s, ehr := newSite(t), newBackend(t)
	app := strings.Replace(upstreams("ehr", ehr.URL), "scribegate {", "scribegate {\ndedupe_window 1s", 1)
	s.load(app, sonioxAPI("webhook_url "+webhookURL+"\nreconcile 1s\ndeliver_to ehr"))
	ehr.wait(t, 1)
	time.Sleep(1100 * time.Millisecond) // the window
	looks := providers.Count(standin.ListTranscriptions)
	eventually(t, "two further looks", func() bool { return providers.Count(standin.ListTranscriptions) >= looks+2 })
	if n := len(ehr.deliveries()); n != 1 {
		t.Errorf("transcription %s was delivered %d times", id, n)
	}
}

// Transcription and file are deleted once every upstream has the event, and not before.
func TestDeleteAfterDelivery(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	file := providers.AddFile(standin.File{})
	shared := providers.AddFile(standin.File{})
	id := providers.AddTranscription(standin.Transcription{FileID: file})
	other := providers.AddTranscription(standin.Transcription{FileID: shared})
	providers.AddTranscription(standin.Transcription{FileID: shared}) // another one needs it
	failed := providers.AddTranscription(standin.Transcription{Status: standin.Failed, ErrorType: "audio_error"})

	s, ehr, slow := newSite(t), newBackend(t), newBackend(t)
	slow.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })
	app := "scribegate {\nQUEUE\nupstream ehr " + ehr.URL + "\nupstream slow " + slow.URL + " {\nretry 1s 1s 1s 1s 1s 1s 1s 1s\n}\n}"
	s.load(app, sonioxAPI("delete_after_delivery\ndeliver_to ehr slow"))
	do(t, s.soniox("/soniox", transcription(id)))
	do(t, s.soniox("/soniox", transcription(other)))
	do(t, s.soniox("/soniox", fmt.Sprintf(`{"id":%q,"status":"error"}`, failed)))
	ehr.wait(t, 3)
	slow.wait(t, 3)
	if _, there := providers.Transcription(id); !there {
		t.Fatal("the transcription was deleted before the second upstream had it")
	}
	slow.respond(nil)
	eventually(t, "the transcriptions to be deleted", func() bool {
		_, a := providers.Transcription(id)
		_, b := providers.Transcription(other)
		_, f := providers.File(file)
		return !a && !b && !f
	})
	if _, there := providers.File(shared); !there {
		t.Error("a file was deleted that another transcription needs")
	}
	if _, there := providers.Transcription(failed); !there {
		t.Error("a transcription without a transcript was deleted")
	}
}

// recover soniox finds what reconcile would, and says what it would do.
func TestRecoverSoniox(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	id, old := providers.AddTranscription(missed("?visit=7")), missed("")
	old.CreatedAt = time.Now().Add(-100 * time.Hour)
	oldID := providers.AddTranscription(old)
	a := newAdminSite(t)
	a.run(upstreams("ehr", a.ehr.URL), sonioxAPI("webhook_url "+webhookURL+"\ndeliver_to ehr"))
	if got := a.recover(`{"provider":"soniox","dry_run":true}`); len(got.Recovered) != 1 || got.Recovered[0] != id {
		t.Errorf("a dry run answers %+v", got)
	}
	if n := len(a.ehr.deliveries()); n != 0 {
		t.Errorf("a dry run delivered %d events", n)
	}
	if got := a.recover(`{"provider":"soniox","since":"1h"}`); len(got.Recovered) != 1 || len(got.Known) != 0 || len(got.Failed) != 0 {
		t.Errorf("answered %+v", got)
	}
	a.ehr.wait(t, 1)
	if got := a.recover(`{"provider":"soniox"}`); len(got.Recovered) != 0 || len(got.Known) != 1 || got.Known[0] != id {
		t.Errorf("the second time answered %+v", got)
	}
	if got := a.ask(http.MethodPost, "/scribegate/recover", `{"provider":"soniox","since":"200h"}`); got.status != http.StatusBadRequest || !strings.Contains(got.body, "history_retention") {
		t.Errorf("a time before history_retention is answered %d %s", got.status, got.body)
	}
	if got := a.recover(`{"provider":"soniox","since":"200h","force":true}`); len(got.Recovered) != 1 || got.Recovered[0] != oldID {
		t.Errorf("with force answered %+v", got)
	}
	a.ehr.wait(t, 2)
}

// A prune deletes what is old and delivered, with its file, and keeps what waits.
func TestPruneSoniox(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	aged := func(tr standin.Transcription) standin.Transcription {
		tr.CreatedAt = time.Now().Add(-48 * time.Hour)
		tr.WebhookURL = webhookURL
		tr.WebhookStatusCode = http.StatusOK
		return tr
	}
	file := providers.AddFile(standin.File{})
	done := providers.AddTranscription(aged(standin.Transcription{FileID: file}))
	waiting := providers.AddTranscription(aged(standin.Transcription{}))
	fresh := providers.AddTranscription(standin.Transcription{WebhookURL: webhookURL})
	foreign := aged(standin.Transcription{})
	foreign.WebhookURL = "https://other.example.com/soniox"
	foreignID := providers.AddTranscription(foreign)

	a := newAdminSite(t)
	a.run(upstreams("lab", a.lab.URL), sonioxAPI("webhook_url "+webhookURL+"\ndeliver_to lab"))
	do(t, a.soniox("/soniox", transcription(waiting))) // dead: the lab answers 410
	a.settle()
	if got := a.recover(`{"provider":"soniox","prune":"24h","dry_run":true}`); len(got.Pruned) != 1 || got.Pruned[0] != done || len(got.Known) != 1 || got.Known[0] != waiting {
		t.Errorf("a dry run answers %+v", got)
	}
	if _, there := providers.Transcription(done); !there {
		t.Fatal("a dry run deleted a transcription")
	}
	if got := a.recover(`{"provider":"soniox","prune":"24h"}`); len(got.Pruned) != 1 || len(got.Recovered) != 0 || len(got.Failed) != 0 {
		t.Errorf("answered %+v", got)
	}
	if _, there := providers.Transcription(done); there {
		t.Error("the transcription is still there")
	}
	if _, there := providers.File(file); there {
		t.Error("the file is still there")
	}
	for _, kept := range []string{waiting, fresh, foreignID} {
		if _, there := providers.Transcription(kept); !there {
			t.Errorf("transcription %s was deleted", kept)
		}
	}
}

// recover soapnoteapi fetches notes whose webhook was lost.
func TestRecoverSOAPNoteAPI(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	lost := providers.AddNote(standin.Note{Data: json.RawMessage(`{"subjective":"synthetic","plan": "rest"}`)})
	received := providers.AddNote(standin.Note{})
	failed := providers.AddNote(standin.Note{Status: "failed"})
	expired := providers.AddNote(standin.Note{CreatedAt: time.Now().Add(-72 * time.Hour)})
	a := newAdminSite(t)
	raw := newBackend(t)
	app := "scribegate {\nQUEUE\nupstream ehr " + a.ehr.URL + "\nupstream raw " + raw.URL + " {\nformat raw\n}\n}"
	a.run(app, "scribegate /soapnote soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\napi_key {env.SOAPNOTE_API_KEY}\napi_base {env.PROVIDERS_API}\ndeliver_to ehr raw\n}")
	accepted(t, a.site, received)
	a.ehr.wait(t, 1)
	raw.wait(t, 1)

	unknown := uuid.NewString()
	body, _ := json.Marshal(map[string]any{"provider": "soapnoteapi", "ids": []string{lost, received, failed, expired, unknown, lost}})
	got := a.recover(string(body))
	if len(got.Recovered) != 1 || got.Recovered[0] != lost || len(got.Known) != 1 || got.Known[0] != received || len(got.Failed) != 3 {
		t.Errorf("answered %+v", got)
	}
	delivery := a.ehr.wait(t, 2)[1]
	d := dataOf(t, delivery)
	if string(d.Note) != `{"subjective":"synthetic","plan": "rest"}` && !strings.Contains(string(d.Note), `"plan": "rest"`) || d.Status != "completed" {
		t.Errorf("the event is %s", delivery.body)
	}
	if got := a.recover(fmt.Sprintf(`{"provider":"soapnoteapi","ids":[%q],"force":true}`, received)); len(got.Recovered) != 1 {
		t.Errorf("with force answered %+v", got)
	}
	a.ehr.wait(t, 3)
	a.settle()
	// Once more, though the store has the recovered note itself.
	if got := a.recover(fmt.Sprintf(`{"provider":"soapnoteapi","ids":[%q],"force":true}`, received)); len(got.Recovered) != 1 {
		t.Errorf("with force a second time answered %+v", got)
	}
	a.ehr.wait(t, 4)
	a.settle()
	// A dead one has its payload still, and stays.
	a.ehr.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	dead := providers.AddNote(standin.Note{})
	a.recover(fmt.Sprintf(`{"provider":"soapnoteapi","ids":[%q]}`, dead))
	a.ehr.wait(t, 5)
	a.settle()
	a.ehr.respond(nil)
	if got := a.recover(fmt.Sprintf(`{"provider":"soapnoteapi","ids":[%q],"force":true}`, dead)); len(got.Known) != 1 || len(got.Recovered) != 0 {
		t.Errorf("with force, of a dead event, answered %+v", got)
	}
	if n := len(raw.deliveries()); n != 1 {
		t.Errorf("the raw upstream received %d requests, want only the one that SOAPNoteAPI signed", n)
	}
}

// A recovery that cannot be made says why.
func TestRecoverRefuses(t *testing.T) {
	newProviders(t, standin.Options{})
	a := newAdminSite(t)
	second := strings.Replace(sonioxAPI("source https://soniox.com/two\ndeliver_to ehr"), "/soniox soniox", "/two soniox", 1)
	a.run(upstreams("ehr", a.ehr.URL), sonioxAPI("deliver_to ehr")+"\n"+second)
	for body, want := range map[string]struct {
		status int
		text   string
	}{
		`{}`:                    {400, "name the provider"},
		`{"provider":"other"}`:  {400, "name the provider"},
		`{"provider":"soniox"}`: {400, "choose one by its source: https://soniox.com, https://soniox.com/two"},
		`{"provider":"soniox","source":"https://soniox.com/three"}`:       {400, "no soniox handler with the source"},
		`{"provider":"soniox","source":"https://soniox.com"}`:             {400, "webhook_url"},
		`{"provider":"soapnoteapi","ids":["a"]}`:                          {409, "no soapnoteapi handler has an api_key"},
		`{"provider":"soniox","since":"1h","prune":"1h"}`:                 {400, "since or prune"},
		`{"provider":"soniox","since":"soon"}`:                            {400, "since must be a duration"},
		`{"provider":"soniox","ids":["a"],"source":"https://soniox.com"}`: {400, "ids are for soapnoteapi"},
		`{"provider":"soniox","unknown":1}`:                               {400, "known members only"},
	} {
		if got := a.ask(http.MethodPost, "/scribegate/recover", body); got.status != want.status || !strings.Contains(got.body, want.text) {
			t.Errorf("%s is answered %d %s, want %d and %q", body, got.status, got.body, want.status, want.text)
		}
	}
}

// The commands print what was recovered, and fail if something was not.
func TestRecoverCommand(t *testing.T) {
	providers := newProviders(t, standin.Options{})
	id := providers.AddTranscription(missed(""))
	note := providers.AddNote(standin.Note{})
	a := newAdminSite(t)
	a.run(upstreams("ehr", a.ehr.URL), sonioxAPI("webhook_url "+webhookURL+"\ndeliver_to ehr")+
		"\nscribegate /soapnote soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\napi_key {env.SOAPNOTE_API_KEY}\napi_base {env.PROVIDERS_API}\ndeliver_to ehr\n}")
	if got := a.command("recover", "soniox", "--dry-run"); got.Err != nil || !strings.Contains(got.Out, id+"  would be recovered\n1 transcription would be recovered, 0 known to the store, 0 failed\n") {
		t.Errorf("%+v", got)
	}
	if got := a.command("recover", "soniox", "--json"); got.Err != nil || !strings.Contains(got.Out, `"recovered": [`) || !strings.Contains(got.Out, id) {
		t.Errorf("%+v", got)
	}
	unknown := uuid.NewString()
	if got := a.command("recover", "soapnoteapi", note, unknown); got.Err == nil || !strings.Contains(got.Out, note+"  recovered\n") || !strings.Contains(got.Out, unknown+"  failed: SOAPNoteAPI does not know the note") || !strings.Contains(got.ErrOut, "1 note could not be recovered") {
		t.Errorf("%+v", got)
	}
	if got := a.command("recover", "deepgram"); got.Err == nil || !strings.Contains(got.ErrOut, `unknown provider "deepgram"`) {
		t.Errorf("%+v", got)
	}
	a.ehr.wait(t, 2)
}

// While the stand-in creates a transcription, everything happens as at Soniox.
func TestCreatedTranscription(t *testing.T) {
	providers := newProviders(t, standin.Options{ProcessingDelay: 10 * time.Millisecond})
	s, ehr := newSite(t), newBackend(t)
	s.load(upstreams("ehr", ehr.URL), sonioxAPI("deliver_to ehr"))
	body := fmt.Sprintf(`{"model":"stt-async-v4","audio_url":"https://example.com/visit.wav","webhook_url":"%s/soniox?visit=7","webhook_auth_header_name":%q,"webhook_auth_header_value":%q}`, s.url, sonioxHeader, testSoniox)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, envOf(t, "PROVIDERS_API")+"/v1/transcriptions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+standin.SonioxKey)
	r.Header.Set("Content-Type", "application/json")
	if got := do(t, r); got.status != http.StatusCreated {
		t.Fatalf("answered %d %s", got.status, got.body)
	}
	if d := dataOf(t, ehr.wait(t, 1)[0]); d.Transcription == nil || d.Transcription.Transcript == nil || d.Metadata["visit"][0] != "7" {
		t.Errorf("the event is %+v", d)
	}
	if got := providers.Count(standin.GetTranscription); got != 1 {
		t.Errorf("%d requests confirm one event", got)
	}
}
