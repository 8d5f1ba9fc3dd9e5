package recovery

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/providers/standin"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/forwarder/result/soniox"
	"github.com/scribegate/scribegate/verifier"
	"github.com/scribegate/scribegate/verifier/event"
)

const (
	hook   = "https://hooks.example.com/soniox"
	source = "https://soniox.com"
)

// uuid returns the nth id of a test.
func uuid(n int) string { return fmt.Sprintf("73d4357d-cad2-4338-a60d-%012d", n) }

// newSoniox returns a stand-in of Soniox and a client of it.
func newSoniox(t *testing.T, o standin.Options) (*standin.Server, soniox.Client) {
	t.Helper()
	s := standin.New(o)
	server := httptest.NewServer(s)
	c, err := soniox.New(rest.Options{Base: server.URL, Key: func() string { return standin.SonioxKey }, Rate: 600_000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		s.Close()
		server.Close()
	})
	return s, c
}

// A store is what the events are stored in.
type store struct {
	events map[string]*event.Event
	err    error
}

func newStore() *store { return &store{events: make(map[string]*event.Event)} }

func (s *store) callbacks() Events {
	return Events{
		New: func(body []byte, query string) (*event.Event, error) {
			return verifier.Soniox{Header: "Authorization"}.Event(verifier.Request{
				Source: source, Keep: []string{"user_id"}, Query: query, Body: body, ReceivedAt: time.Now(),
			})
		},
		Known: func(_ context.Context, id string) (bool, error) {
			_, known := s.events[id]
			return known, nil
		},
		Take: func(_ context.Context, e *event.Event) (bool, error) {
			if s.err != nil {
				return false, s.err
			}
			s.events[e.ID] = e
			return true, nil
		},
	}
}

// A missed event is the same as that of its webhook, with the metadata of its URL.
func TestRecoveredEvent(t *testing.T) {
	t.Parallel()
	api, c := newSoniox(t, standin.Options{})
	id := api.AddTranscription(standin.Transcription{
		ID: uuid(1), Status: standin.Failed, ErrorType: "audio_error", CreatedAt: time.Now().Add(-time.Hour),
		WebhookURL: hook + "?user_id=1&secret=2&user_id=3", WebhookStatusCode: 503,
	})
	s := newStore()
	r := Reconciler{API: c, WebhookURL: hook + "?any=query", Retention: 72 * time.Hour, Events: s.callbacks()}
	if taken, err := r.Look(t.Context()); err != nil || !slices.Equal(taken, []string{id}) {
		t.Fatalf("%v, %v", taken, err)
	}
	webhook, err := s.callbacks().New([]byte(`{"id":"`+id+`","status":"error"}`), "user_id=1&secret=2&user_id=3")
	if err != nil {
		t.Fatal(err)
	}
	got := s.events[webhook.ID]
	if got == nil {
		t.Fatalf("the event has another id than its webhook's: %+v", s.events)
	}
	got.ReceivedAt, got.Time = webhook.ReceivedAt, webhook.Time
	if !reflect.DeepEqual(got, webhook) {
		t.Errorf("got  %+v\nwant %+v", got, webhook)
	}
	if want := []event.Param{{Name: "user_id", Values: []string{"1", "3"}}}; !reflect.DeepEqual(got.Metadata, want) {
		t.Errorf("metadata = %+v", got.Metadata)
	}
}

func TestMissed(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, time.March, 19, 12, 0, 0, 0, time.UTC)
	at, _, _ := addressOf(hook)
	base := soniox.Transcription{ID: "a", Status: soniox.Completed, CreatedAt: now.Add(-time.Hour), WebhookURL: hook + "?a=b&c", WebhookStatus: 500}
	tests := []struct {
		name   string
		change func(t *soniox.Transcription)
		want   bool
	}{
		{"answered 500", func(*soniox.Transcription) {}, true},
		{"failed", func(t *soniox.Transcription) { t.Status = soniox.Failed }, true},
		{"answered 199", func(t *soniox.Transcription) { t.WebhookStatus = 199 }, true},
		{"redirected", func(t *soniox.Transcription) { t.WebhookStatus = 300 }, true},
		{"not answered", func(t *soniox.Transcription) { t.WebhookStatus = 0 }, true},
		{"answered 200", func(t *soniox.Transcription) { t.WebhookStatus = 200 }, false},
		{"answered 299", func(t *soniox.Transcription) { t.WebhookStatus = 299 }, false},
		{"queued", func(t *soniox.Transcription) { t.Status = "queued" }, false},
		{"processing", func(t *soniox.Transcription) { t.Status = "processing" }, false},
		{"created when the look begins", func(t *soniox.Transcription) { t.CreatedAt = now.Add(-72 * time.Hour) }, true},
		{"created before", func(t *soniox.Transcription) { t.CreatedAt = now.Add(-72*time.Hour - 1) }, false},
		{"created no one knows when", func(t *soniox.Transcription) { t.CreatedAt = time.Time{} }, true},
		{"not answered for 2 minutes", func(t *soniox.Transcription) { t.WebhookStatus, t.CreatedAt = 0, now.Add(-2*time.Minute) }, true},
		{"answered 500, and new", func(t *soniox.Transcription) { t.CreatedAt = now }, true},
		{"without webhook", func(t *soniox.Transcription) { t.WebhookURL, t.WebhookStatus = "", 0 }, false},
		{"without query", func(t *soniox.Transcription) { t.WebhookURL = hook }, true},
		{"other letters in the host", func(t *soniox.Transcription) { t.WebhookURL = "HTTPS://Hooks.Example.com:443/soniox?x" }, true},
		{"another path", func(t *soniox.Transcription) { t.WebhookURL = hook + "/" }, false},
		{"other letters in the path", func(t *soniox.Transcription) { t.WebhookURL = "https://hooks.example.com/Soniox" }, false},
		{"another host", func(t *soniox.Transcription) { t.WebhookURL = "https://hooks.example.com.evil.example/soniox" }, false},
		{"another port", func(t *soniox.Transcription) { t.WebhookURL = "https://hooks.example.com:8443/soniox" }, false},
		{"http", func(t *soniox.Transcription) { t.WebhookURL = "http://hooks.example.com/soniox" }, false},
		{"no URL", func(t *soniox.Transcription) { t.WebhookURL = "%zz" }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			x := base
			tt.change(&x)
			if _, got := missed(x, at, now.Add(-72*time.Hour)); got != tt.want {
				t.Errorf("missed = %v", got)
			}
		})
	}
	if q, _ := missed(base, at, time.Time{}); q != "a=b&c" {
		t.Errorf("query = %q", q)
	}
}

// The first look goes through the whole list, each later one reads a page, in turn.
func TestReconcilerPages(t *testing.T) {
	t.Parallel()
	for _, oldest := range []bool{false, true} {
		api, c := newSoniox(t, standin.Options{OldestFirst: oldest})
		begin := time.Now().Add(-10 * time.Hour)
		add := func(n int, status int) {
			api.AddTranscription(standin.Transcription{
				ID: uuid(n), CreatedAt: begin.Add(time.Duration(n) * time.Second), WebhookURL: hook + "?user_id=1", WebhookStatusCode: status,
			})
		}
		for n := range 2500 {
			status := 200
			if n%100 == 0 {
				status = 500
			}
			add(n, status)
		}
		s := newStore()
		r := Reconciler{API: c, WebhookURL: hook, Retention: 72 * time.Hour, Events: s.callbacks()}
		taken, err := r.Look(t.Context())
		if err != nil || len(taken) != 25 || api.Count(standin.ListTranscriptions) != 3 {
			t.Fatalf("%d taken, %v, %d pages", len(taken), err, api.Count(standin.ListTranscriptions))
		}
		add(2500, 500)
		var later []string
		for look := range 3 {
			taken, err := r.Look(t.Context())
			if err != nil || api.Count(standin.ListTranscriptions) != 4+look {
				t.Fatalf("%v, %d pages", err, api.Count(standin.ListTranscriptions))
			}
			later = append(later, taken...)
		}
		if !slices.Equal(later, []string{uuid(2500)}) {
			t.Errorf("taken %v", later)
		}
	}
}

// After an error nothing is lost: the next look goes on where that one ended.
func TestReconcilerErrors(t *testing.T) {
	t.Parallel()
	api, c := newSoniox(t, standin.Options{})
	for n := range 1500 {
		api.AddTranscription(standin.Transcription{ID: uuid(n), CreatedAt: time.Now().Add(-time.Hour), WebhookURL: hook, WebhookStatusCode: 500})
	}
	s := newStore()
	r := Reconciler{API: c, WebhookURL: hook, Retention: 72 * time.Hour, Events: s.callbacks()}
	for _, f := range []standin.Fault{
		{Status: 500}, {Status: 429, RetryAfter: "60"}, {Status: 401}, {Cut: true}, {Body: []byte(`{"transcriptions":{}}`)}, {Body: []byte("<html>")}, {Status: 302, Location: "/x"},
	} {
		f.Times = 1
		api.Fail(standin.ListTranscriptions, f)
		if taken, err := r.Look(t.Context()); err == nil || len(taken) > 0 || rest.KindOf(err) == "" {
			t.Errorf("%+v: %d taken, %v", f, len(taken), err)
		}
	}
	s.err = errors.New("disk full")
	if _, err := r.Look(t.Context()); !errors.Is(err, s.err) {
		t.Errorf("error = %v", err)
	}
	s.err = nil
	if taken, err := r.Look(t.Context()); err != nil || len(taken) != 1500 {
		t.Errorf("%d taken, %v", len(taken), err)
	}

	// A cursor that is not valid any more.
	if _, err := r.Look(t.Context()); err != nil || r.cursor == "" {
		t.Fatalf("%v, cursor %q", err, r.cursor)
	}
	r.cursor = "not valid"
	if _, err := r.Look(t.Context()); err == nil {
		t.Error("no error")
	}
	if _, err := r.Look(t.Context()); err != nil {
		t.Error(err)
	}
	if r := (Reconciler{API: c, WebhookURL: "x"}); func() bool { _, err := r.Look(t.Context()); return err == nil }() {
		t.Error("reconciled without an address")
	}
}

func TestRecoverSoniox(t *testing.T) {
	t.Parallel()
	api, c := newSoniox(t, standin.Options{})
	for n, age := range []time.Duration{time.Hour, 2 * time.Hour, 30 * time.Hour} {
		api.AddTranscription(standin.Transcription{ID: uuid(n), CreatedAt: time.Now().Add(-age), WebhookURL: hook + "?user_id=1", WebhookStatusCode: 500})
	}
	s := newStore()
	known, err := s.callbacks().New([]byte(`{"id":"`+uuid(1)+`","status":"completed"}`), "")
	if err != nil {
		t.Fatal(err)
	}
	s.events[known.ID] = known
	api.Fail(standin.ListTranscriptions, standin.Fault{Status: 503, Times: 1})
	want := newResult()
	want.Recovered, want.Known = []string{uuid(0)}, []string{uuid(1)}
	for _, dry := range []bool{true, false} {
		got, err := Soniox{API: c, WebhookURL: hook, DryRun: dry}.Recover(t.Context(), time.Now().Add(-24*time.Hour), s.callbacks())
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("dry run %v: %+v, %v", dry, got, err)
		}
		if n := len(s.events); n != 2 && !dry || n != 1 && dry {
			t.Errorf("dry run %v: %d events", dry, n)
		}
	}
	s.err = errors.New("disk full")
	got, err := Soniox{API: c, WebhookURL: hook}.Recover(t.Context(), time.Time{}, s.callbacks())
	if err != nil || !reflect.DeepEqual(got.Failed, []Failure{{uuid(2), "disk full"}}) || len(got.Known) != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	api.Fail(standin.ListTranscriptions, standin.Fault{Status: 401})
	if _, err := (Soniox{API: c, WebhookURL: hook}).Recover(t.Context(), time.Time{}, s.callbacks()); rest.KindOf(err) != rest.Unauthorized {
		t.Errorf("error = %v", err)
	}
	if _, err := (Soniox{API: c}).Recover(t.Context(), time.Time{}, s.callbacks()); err == nil || !strings.Contains(err.Error(), "webhook_url") {
		t.Errorf("error = %v", err)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	api, c := newSoniox(t, standin.Options{})
	old := time.Now().Add(-8 * 24 * time.Hour)
	file := func() string { return api.AddFile(standin.File{}) }
	shared, kept := file(), file()
	add := func(n int, t standin.Transcription) {
		t.ID = uuid(n)
		if t.WebhookURL == "" {
			t.WebhookURL = hook + "?user_id=1"
		}
		if t.CreatedAt.IsZero() {
			t.CreatedAt = old
		}
		api.AddTranscription(t)
	}
	own := file()
	add(1, standin.Transcription{FileID: own})
	add(2, standin.Transcription{FileID: shared})
	add(3, standin.Transcription{FileID: shared, Status: standin.Failed})
	add(4, standin.Transcription{FileID: kept})
	add(5, standin.Transcription{FileID: kept, CreatedAt: time.Now()})               // new
	add(6, standin.Transcription{FileID: file()})                                    // waits
	add(7, standin.Transcription{FileID: file(), WebhookURL: hook + "2"})            // another handler's
	add(8, standin.Transcription{FileID: file(), Status: standin.Processing})        // not finished
	add(9, standin.Transcription{FileID: file(), WebhookURL: "https://example.com"}) // another's
	add(10, standin.Transcription{})                                                 // without file
	waits := func(_ context.Context, id string) (bool, error) { return id == uuid(6), nil }
	s := Soniox{API: c, WebhookURL: hook, DryRun: true}
	want := []string{uuid(1), uuid(2), uuid(3), uuid(4), uuid(10)}
	check := func(r Result, err error) {
		t.Helper()
		slices.Sort(r.Pruned)
		if err != nil || !slices.Equal(r.Pruned, want) || !slices.Equal(r.Waiting, []string{uuid(6)}) || len(r.Failed) > 0 {
			t.Errorf("%+v, %v", r, err)
		}
	}
	before := time.Now().Add(-7 * 24 * time.Hour)
	r, err := s.Prune(t.Context(), before, waits, nil)
	check(r, err)
	if n := api.Count(standin.DeleteTranscription) + api.Count(standin.DeleteFile); n > 0 {
		t.Errorf("%d deletions in a dry run", n)
	}
	s.DryRun = false
	steps := 0
	r, err = s.Prune(t.Context(), before, waits, func(done, total int) {
		if steps++; done != steps || total != 6 {
			t.Errorf("progress %d of %d at step %d", done, total, steps)
		}
	})
	check(r, err)
	for n := 1; n <= 10; n++ {
		x, there := api.Transcription(uuid(n))
		if there == slices.Contains(want, uuid(n)) {
			t.Errorf("transcription %d is there: %v", n, there)
		}
		if _, ok := api.File(x.FileID); there && !ok {
			t.Errorf("the file of transcription %d is gone", n)
		}
	}
	for _, f := range []string{shared, own} {
		if _, ok := api.File(f); ok {
			t.Errorf("file %s is left", f)
		}
	}
	if _, ok := api.File(kept); !ok {
		t.Error("a file that another transcription has is gone")
	}
}

func TestPruneErrors(t *testing.T) {
	t.Parallel()
	api, c := newSoniox(t, standin.Options{})
	for n := range 3 {
		api.AddTranscription(standin.Transcription{ID: uuid(n), CreatedAt: time.Now().Add(-time.Duration(n+1) * time.Hour), WebhookURL: hook, FileID: api.AddFile(standin.File{})})
	}
	prune := func() (Result, error) {
		return Soniox{API: c, WebhookURL: hook}.Prune(t.Context(), time.Now(), func(context.Context, string) (bool, error) { return false, nil }, nil)
	}
	api.Fail(standin.DeleteTranscription, standin.Fault{ID: uuid(0), Status: 409})
	r, err := prune()
	if err != nil || len(r.Pruned) != 2 || len(r.Failed) != 1 || r.Failed[0].ID != uuid(0) {
		t.Errorf("%+v, %v", r, err)
	}
	api.ClearFaults()
	api.Fail(standin.DeleteTranscription, standin.Fault{Status: 403})
	if r, err := prune(); rest.KindOf(err) != rest.Unauthorized || !strings.Contains(err.Error(), "may write") || len(r.Pruned) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
	api.ClearFaults()
	api.Fail(standin.DeleteTranscription, standin.Fault{Status: 429, RetryAfter: "1", Times: 1})
	if r, err := prune(); err != nil || len(r.Pruned) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// lister is a list of one page.
type lister struct {
	SonioxAPI

	page []soniox.Transcription
}

func (l lister) List(context.Context, string) ([]soniox.Transcription, string, error) {
	return l.page, "", nil
}

// What was created no one knows when is not old.
func TestPruneKeepsWhatHasNoTime(t *testing.T) {
	t.Parallel()
	s := Soniox{API: lister{page: []soniox.Transcription{{ID: "a", Status: soniox.Completed, WebhookURL: hook}}}, WebhookURL: hook, DryRun: true}
	r, err := s.Prune(t.Context(), time.Now(), func(context.Context, string) (bool, error) { return false, nil }, nil)
	if err != nil || len(r.Pruned) > 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
