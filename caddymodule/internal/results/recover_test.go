package results

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/examples/providers/standin"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soapnoteapi"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

const hook = "https://hooks.example.com/soniox"

// newProviders starts the stand-in for the providers' APIs, and returns its URL.
func newProviders(t *testing.T) (providers *standin.Server, url string) {
	t.Helper()
	providers = standin.New(standin.Options{})
	api := httptest.NewServer(providers)
	t.Cleanup(func() {
		providers.Close()
		api.Close()
	})
	return providers, api.URL
}

// newSoniox returns Soniox's API at a URL, with the handler's address.
func newSoniox(t *testing.T, url string) Soniox {
	t.Helper()
	client, err := soniox.New(rest.Options{Base: url, Key: func() string { return standin.SonioxKey }, Rate: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return Soniox{Client: client, WebhookURL: hook, New: func(body []byte, query string) (*event.Event, error) {
		return verifier.Soniox{Header: "Authorization"}.Event(verifier.Request{Source: source, Query: query, Body: body, ReceivedAt: time.Now()})
	}}
}

func newSOAPNoteAPI(t *testing.T, url string) SOAPNoteAPI {
	t.Helper()
	client, err := soapnoteapi.New(rest.Options{Base: url, Key: func() string { return standin.SOAPNoteKey }, Rate: 60_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return SOAPNoteAPI{Client: client, New: func(id string, _ soapnoteapi.Note) *event.Event {
		return &event.Event{ID: "soapnoteapi-" + id, Subject: id}
	}}
}

// addMissed adds a finished transcription whose webhook was answered 503, of this age.
func addMissed(providers *standin.Server, age time.Duration) (id string) {
	return providers.AddTranscription(standin.Transcription{WebhookURL: hook + "?visit=7", WebhookStatusCode: http.StatusServiceUnavailable, CreatedAt: time.Now().Add(-age)})
}

func TestRecoverRefuses(t *testing.T) {
	t.Parallel()
	called := errors.New("the API was asked")
	api := func(provider, source string) API {
		return API{Provider: provider, Source: source, Recover: func(context.Context, Recovery) (admin.Recovered, error) { return admin.Recovered{}, called }}
	}
	notes := api("soapnoteapi", "https://soapnoteapi.com")
	one, two := api("soniox", "https://one.example"), api("soniox", "https://two.example")
	tests := map[string]struct {
		apis    []API
		request admin.RecoverRequest
		status  int
		text    string
	}{
		"no provider":          {[]API{notes}, admin.RecoverRequest{}, 400, "name the provider"},
		"an unknown provider":  {[]API{notes}, admin.RecoverRequest{Provider: "another"}, 400, "name the provider"},
		"no API":               {[]API{notes}, admin.RecoverRequest{Provider: "soniox"}, 409, "no soniox handler has an api_key"},
		"another source":       {[]API{notes, one}, admin.RecoverRequest{Provider: "soniox", Source: "https://two.example"}, 400, `no soniox handler with the source "https://two.example" has an api_key`},
		"a source of another":  {[]API{notes, one}, admin.RecoverRequest{Provider: "soapnoteapi", Source: "https://one.example"}, 400, `no soapnoteapi handler with the source "https://one.example"`},
		"several, no source":   {[]API{one, notes, two}, admin.RecoverRequest{Provider: "soniox"}, 400, "choose one by its source: https://one.example, https://two.example"},
		"several, with source": {[]API{one, two}, admin.RecoverRequest{Provider: "soniox", Source: "https://two.example"}, 0, called.Error()},
		"one":                  {[]API{notes, one}, admin.RecoverRequest{Provider: "soniox"}, 0, called.Error()},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Recover(t.Context(), tt.apis, Recovery{Request: tt.request})
			wantRefusal(t, err, tt.status, tt.text)
		})
	}
}

// wantRefusal checks an error of the admin API; with the status 0, any error.
func wantRefusal(t *testing.T, err error, status int, text string) {
	t.Helper()
	e, ok := errors.AsType[admin.Error](err)
	if err == nil || ok != (status != 0) || e.Status != status || !strings.Contains(err.Error(), text) {
		t.Errorf("the error is %v with the status %d, want %d and %q", err, e.Status, status, text)
	}
}

func TestSonioxRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		url      string
		recovery Recovery
		text     string
	}{
		"ids":                         {hook, Recovery{Request: admin.RecoverRequest{IDs: []string{"a"}}}, "ids are for soapnoteapi"},
		"no webhook_url":              {"", Recovery{}, "has no webhook_url"},
		"a prune without webhook_url": {"", Recovery{Before: time.Now()}, "has no webhook_url"},
		"before the history":          {hook, Recovery{Since: time.Now().Add(-73 * time.Hour)}, "further than history_retention, which is 72h0m0s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			providers, url := newProviders(t)
			s := newSoniox(t, url)
			s.WebhookURL = tt.url
			tt.recovery.Store = new(fakeStore)
			_, err := s.Recover(t.Context(), tt.recovery)
			wantRefusal(t, err, http.StatusBadRequest, tt.text)
			if n := providers.Count(standin.AnyRoute); n > 0 {
				t.Errorf("%d requests, want none", n)
			}
		})
	}
}

func TestSOAPNoteAPIRefuses(t *testing.T) {
	t.Parallel()
	ids := []string{"a"}
	tests := map[string]struct {
		recovery Recovery
		text     string
	}{
		"no ids":  {Recovery{}, "name the notes to recover"},
		"since":   {Recovery{Request: admin.RecoverRequest{IDs: ids}, Since: time.Now()}, "are for soniox"},
		"prune":   {Recovery{Request: admin.RecoverRequest{IDs: ids}, Before: time.Now()}, "are for soniox"},
		"dry_run": {Recovery{Request: admin.RecoverRequest{IDs: ids, DryRun: true}}, "are for soniox"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			providers, url := newProviders(t)
			tt.recovery.Store = new(fakeStore)
			_, err := newSOAPNoteAPI(t, url).Recover(t.Context(), tt.recovery)
			wantRefusal(t, err, http.StatusBadRequest, tt.text)
			if n := providers.Count(standin.AnyRoute); n > 0 {
				t.Errorf("%d requests, want none", n)
			}
		})
	}
}

// Without since, a recovery goes back as far as the store remembers; with force, further.
func TestSonioxRecovers(t *testing.T) {
	t.Parallel()
	providers, url := newProviders(t)
	s, store := newSoniox(t, url), &fakeStore{known: make(map[string]bool)}
	young, old, known := addMissed(providers, 71*time.Hour), addMissed(providers, 73*time.Hour), addMissed(providers, time.Hour)
	e, err := s.New(fmt.Appendf(nil, `{"id":%q,"status":"completed"}`, known), "")
	if err != nil {
		t.Fatal(err)
	}
	store.known[e.ID] = true

	check := func(r Recovery, want admin.Recovered, taken ...string) {
		t.Helper()
		store.taken = nil
		r.Store, r.By = store, "somebody"
		got, err := s.Recover(t.Context(), r)
		if err != nil || !reflect.DeepEqual(got, want) || !slices.Equal(store.taken, taken) {
			t.Errorf("recovered %+v, %v and stored %q, want %+v and %q", got, err, store.taken, want, taken)
		}
	}
	none := []admin.RecoverFailure{}
	check(Recovery{Request: admin.RecoverRequest{DryRun: true}}, admin.Recovered{Recovered: []string{young}, Known: []string{known}, Failed: none})
	check(Recovery{Since: time.Now().Add(-2 * time.Hour)}, admin.Recovered{Recovered: []string{}, Known: []string{known}, Failed: none})
	check(Recovery{}, admin.Recovered{Recovered: []string{young}, Known: []string{known}, Failed: none}, young+" by somebody")
	far := Recovery{Since: time.Now().Add(-74 * time.Hour), Request: admin.RecoverRequest{Force: true}}
	check(far, admin.Recovered{Recovered: []string{old}, Known: []string{known, young}, Failed: none}, old+" by somebody")
}

// A prune reports what it deleted, and what it kept as known.
func TestSonioxPrunes(t *testing.T) {
	t.Parallel()
	providers, url := newProviders(t)
	s := newSoniox(t, url)
	gone, kept, young := addMissed(providers, 9*time.Hour), addMissed(providers, 8*time.Hour), addMissed(providers, time.Hour)
	var progress []string
	got, err := s.Recover(t.Context(), Recovery{
		Store: &fakeStore{waiting: map[string]bool{"soniox " + kept: true}}, Before: time.Now().Add(-2 * time.Hour),
		Report: func(done, total int64) { progress = append(progress, fmt.Sprint(done, "/", total)) },
	})
	want := admin.Recovered{Recovered: []string{}, Pruned: []string{gone}, Known: []string{kept}, Failed: []admin.RecoverFailure{}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("pruned %+v, %v, want %+v", got, err, want)
	}
	if !slices.Equal(progress, []string{"1/2", "2/2"}) {
		t.Errorf("progress %q", progress)
	}
	for id, want := range map[string]rest.Kind{gone: rest.Unknown, kept: "", young: ""} {
		if _, err := s.Client.Transcription(t.Context(), id); rest.KindOf(err) != want {
			t.Errorf("asking for %s: %v, want %q", id, err, want)
		}
	}
}

func TestSOAPNoteAPIRecovers(t *testing.T) {
	t.Parallel()
	providers, url := newProviders(t)
	s, store := newSOAPNoteAPI(t, url), &fakeStore{subjects: map[string]bool{"soapnoteapi known": true}}
	providers.AddNote(standin.Note{ID: "new"})
	providers.AddNote(standin.Note{ID: "known"})
	providers.AddNote(standin.Note{ID: "bad", Status: "FAILED"})
	r := Recovery{Store: store, By: "somebody", Request: admin.RecoverRequest{IDs: []string{"bad", "new", "known"}}}
	got, err := s.Recover(t.Context(), r)
	if err != nil || !slices.Equal(got.Recovered, []string{"new"}) || !slices.Equal(got.Known, []string{"known"}) ||
		len(got.Failed) != 1 || got.Failed[0].ID != "bad" || !strings.Contains(got.Failed[0].Reason, "failed") {
		t.Errorf("recovered %+v, %v", got, err)
	}
	if !slices.Equal(store.taken, []string{"new by somebody"}) {
		t.Errorf("stored %q", store.taken)
	}
	store.taken, r.Request.Force, r.Request.IDs = nil, true, []string{"known"}
	if got, err = s.Recover(t.Context(), r); err != nil || !slices.Equal(got.Recovered, []string{"known"}) || !slices.Equal(store.taken, []string{"known by somebody"}) {
		t.Errorf("with force: recovered %+v, %v and stored %q", got, err, store.taken)
	}
}
