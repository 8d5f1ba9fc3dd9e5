package caddymodule

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// An event that no upstream takes is kept with its payload, survives the reload
// that repairs the configuration, and is delivered by a replay.
func TestUnroutedIsKept(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	taking := func(types string) string {
		return strings.Replace(upstreams("ehr", b.URL), "retry", "events "+types+"\n\t\t\tretry", 1)
	}
	s.load(taking("note.generated"), outcomeSite)
	body := soapnoteEvent("note.signed", "kept")
	id := do(t, s.soapnote("/soapnote?user_id=7", body)).id(t)

	q := gateway.Current().Queue()
	record, err := q.Event(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if record.State != queue.Unrouted || !record.HasPayload || len(record.Deliveries) != 0 || record.Type != "note.signed" || record.Subject != "kept" {
		t.Errorf("record %+v", record)
	}
	kept, err := q.Payload(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if string(kept.Body) != body || kept.Query != "user_id=7" {
		t.Errorf("kept %s with the query %s", kept.Body, kept.Query)
	}
	if stats, err := q.Stats(); err != nil || stats.Unrouted != 1 || stats.Bytes == 0 {
		t.Errorf("stats %+v, %v", stats, err)
	}

	replay := func(state queue.State) queue.Replayed {
		t.Helper()
		g := gateway.Current()
		done, err := g.Queue().Replay(t.Context(), queue.ReplaySelection{State: state, Upstreams: []string{"ehr"}, Route: g.Route})
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	if done := replay(queue.Unrouted); done != (queue.Replayed{Unrouted: 1}) {
		t.Errorf("before the repair: %+v", done)
	}
	s.load(taking("note.generated note.signed"), outcomeSite)
	if done := replay(queue.Unrouted); done != (queue.Replayed{Deliveries: 1}) {
		t.Errorf("after the repair: %+v", done)
	}
	if got := b.wait(t, 1)[0]; got.header.Get("Webhook-Id") != id || !strings.Contains(string(got.body), `"note.signed"`) {
		t.Errorf("delivered %v %s", got.header, got.body)
	}
	eventually(t, "the event to be delivered", func() bool {
		record, err := gateway.Current().Queue().Event(t.Context(), id)
		return err == nil && record.State == queue.Delivered && !record.HasPayload
	})
}

// The upstreams of an event are those that the running configuration's handlers name.
func TestUpstreamsNow(t *testing.T) {
	s := newSite(t)
	const (
		app = `
	scribegate {
		QUEUE
		upstream rest http://127.0.0.1:9
		upstream all http://127.0.0.1:9 {
			events *
		}
		upstream signed http://127.0.0.1:9 {
			events note.signed
		}
	}`
		site = `
	scribegate /one soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		deliver_to signed rest
	}
	scribegate /two soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		drop note.failed
		deliver_to all signed
	}
	scribegate /lab soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		source urn:lab
		deliver_to signed
	}
	handle /checkpoint {
		scribegate soapnoteapi {
			secret {env.SOAPNOTE_SECRET}
			source urn:checkpoint
		}
		respond 204
	}`
	)
	s.load(app, site)
	const soapnote = "https://soapnoteapi.com"
	for _, row := range []struct {
		provider, source, event string
		want                    []string
	}{
		{"soapnoteapi", soapnote, "note.signed", []string{"signed", "rest", "all"}},
		{"soapnoteapi", soapnote, "note.generated", []string{"rest", "all"}},
		{"soapnoteapi", soapnote, "note.failed", []string{"rest"}},
		{"soapnoteapi", soapnote, "test", []string{"all"}},
		{"soapnoteapi", soapnote, "other", []string{"rest", "all"}},
		{"soapnoteapi", "urn:lab", "note.signed", []string{"signed"}},
		{"soapnoteapi", "urn:lab", "note.generated", nil},
		{"soapnoteapi", "urn:checkpoint", "note.signed", nil},
		{"soapnoteapi", "urn:unknown", "note.signed", nil},
		{"soniox", soapnote, "note.signed", nil},
	} {
		e := &event.Event{Provider: row.provider, Source: row.source, Type: event.TypePrefix(row.provider) + row.event}
		if got := gateway.Current().Route(e); !slices.Equal(got, row.want) || (got == nil) != (row.want == nil) {
			t.Errorf("%s of %s at %s goes to %q, want %q", row.event, row.provider, row.source, got, row.want)
		}
	}
	s.load(app, strings.Replace(site, "source urn:lab\n\t\tdeliver_to signed", "source urn:lab\n\t\tdeliver_to rest", 1))
	e := &event.Event{Provider: "soapnoteapi", Source: "urn:lab", Type: "com.soapnoteapi.note.signed"}
	if got := gateway.Current().Route(e); fmt.Sprint(got) != "[rest]" {
		t.Errorf("after a reload it goes to %q, want rest", got)
	}
}
