package caddymodule

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/scribegate/scribegate/caddymodule/internal/notify"
)

func init() {
	caddy.RegisterModule(subscriber{})
	caddy.RegisterModule(execSubscriber{})
}

// subscriber is a handler of Caddy's events that records them.
type subscriber struct{}

// heard are the events that subscribers received, and what they do then.
var heard struct {
	mu     sync.Mutex
	events []caddy.Event
	do     func() // may be nil
}

// CaddyModule returns the Caddy module information.
func (subscriber) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.test", New: func() caddy.Module { return new(subscriber) }}
}

func (*subscriber) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	return nil
}

func (subscriber) Handle(_ context.Context, e caddy.Event) error {
	heard.mu.Lock()
	heard.events = append(heard.events, e)
	do := heard.do
	heard.mu.Unlock()
	if do != nil {
		do()
	}
	return nil
}

// execSubscriber takes the arguments of the plugin caddy-events-exec, which the
// documentation shows, and runs nothing.
type execSubscriber struct {
	Command string   `json:"command,omitempty"`
	Args    []string `json:"args,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (execSubscriber) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.exec", New: func() caddy.Module { return new(execSubscriber) }}
}

func (s *execSubscriber) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.Args(&s.Command) {
		return d.ArgErr()
	}
	s.Args = d.RemainingArgs()
	return nil
}

func (execSubscriber) Handle(context.Context, caddy.Event) error { return nil }

// listen forgets what was heard, and has subscribers do something from now on
// until the test ends.
func listen(t *testing.T, do func()) {
	t.Helper()
	set := func(do func()) {
		heard.mu.Lock()
		defer heard.mu.Unlock()
		heard.events, heard.do = nil, do
	}
	set(do)
	t.Cleanup(func() { set(nil) })
}

// heardOf returns what was heard so far of one kind.
func heardOf(name string) (found []caddy.Event) {
	heard.mu.Lock()
	defer heard.mu.Unlock()
	for _, e := range heard.events {
		if e.Name() == name {
			found = append(found, e)
		}
	}
	return found
}

// allHeard returns the events that subscribers received, a line of JSON for each.
func allHeard() (all []byte) {
	heard.mu.Lock()
	defer heard.mu.Unlock()
	for _, e := range heard.events {
		line, err := json.Marshal(e.CloudEvent())
		if err != nil {
			panic(err)
		}
		all = append(append(all, line...), '\n')
	}
	return all
}

// subscribed subscribes to all of Scribegate's events, one by one.
const subscribed = `
	events {
		on scribegate.dead_letter test
		on scribegate.upstream_paused test
		on scribegate.upstream_resumed test
		on scribegate.rejected test
	}
`

func TestCaddyEvents(t *testing.T) {
	listen(t, nil)
	s, lab := newSite(t), newBackend(t)
	away := http.StatusServiceUnavailable
	lab.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(away) })
	app := subscribed + oneUpstream + lab.URL + " {\n\t\t\tretry 20ms 20ms 20ms 20ms\n\t\t}\n\t}"
	s.load(app, bothProviders+"\n\tscribegate /checkpoint soniox {\n\t\theader X-Webhook-Secret {env.SONIOX_SECRET}\n\t}")
	id := do(t, s.soniox("/soniox", transcription("tr-1"))).id(t)
	eventually(t, "the upstream to be paused", func() bool { return len(heardOf(notify.UpstreamPaused)) == 1 })
	eventually(t, "the event to be dead", func() bool { return len(heardOf(notify.DeadLetter)) == 1 })
	lab.respond(nil)
	do(t, s.soniox("/soniox", transcription("tr-2")))
	eventually(t, "the upstream to be resumed", func() bool { return len(heardOf(notify.UpstreamResumed)) == 1 })

	forged := s.soapnote("/soapnote", note("forged"))
	forged.Header.Set("X-SoapNoteAPI-Signature", strings.Repeat("0", 64))
	do(t, forged)
	do(t, s.soapnote("/soapnote", `{}`))
	do(t, s.soniox("/checkpoint", `{}`))
	eventually(t, "the rejections", func() bool { return len(heardOf(notify.Rejected)) == 3 })

	want := map[string][]map[string]any{
		notify.UpstreamPaused:  {{"upstream": "ehr", "reason": "failures"}},
		notify.UpstreamResumed: {{"upstream": "ehr"}},
		notify.DeadLetter:      {{"event_id": id, "provider": "soniox", "upstream": "ehr", "reason": "failure"}},
		notify.Rejected: {
			{"provider": "soapnoteapi", "reason": "signature_mismatch"},
			{"provider": "soapnoteapi", "reason": "payload", "event_id": soapnoteID(`{}`)},
			{"provider": "soniox", "reason": "payload"},
		},
	}
	origins := map[string]string{notify.Rejected: "http.handlers.scribegate"}
	for name, data := range want {
		events := heardOf(name) // each handler emits its own, beside the others
		slices.SortFunc(events, func(a, b caddy.Event) int { return cmp.Compare(fmt.Sprint(a.Data), fmt.Sprint(b.Data)) })
		slices.SortFunc(data, func(a, b map[string]any) int { return cmp.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
		for i, e := range events {
			if fmt.Sprint(e.Data) != fmt.Sprint(data[i]) {
				t.Errorf("%s has the data %v, want %v", name, e.Data, data[i])
			}
			origin := origins[name]
			if origin == "" {
				origin = "scribegate"
			}
			if got := string(e.Origin().CaddyModule().ID); got != origin {
				t.Errorf("%s comes from %s, want %s", name, got, origin)
			}
		}
	}
	heard.mu.Lock()
	defer heard.mu.Unlock()
	for _, e := range heard.events {
		if want[e.Name()] == nil {
			t.Errorf("an event %s", e.Name())
		}
	}
}

// An upstream that asks to be left alone is paused for that reason.
func TestPausedByRequest(t *testing.T) {
	listen(t, nil)
	s, lab := newSite(t), newBackend(t)
	lab.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
	})
	s.load(subscribed+oneUpstream+lab.URL+"\n\t}", bothProviders)
	do(t, s.soniox("/soniox", transcription("tr-1")))
	eventually(t, "the upstream to be paused", func() bool { return len(heardOf(notify.UpstreamPaused)) == 1 })
	if data := heardOf(notify.UpstreamPaused)[0].Data; data["reason"] != "retry_after" {
		t.Errorf("data %v", data)
	}
}

// A subscriber that never comes back or panics costs events, and neither a
// delivery nor an answer.
func TestSubscribersHoldNothingUp(t *testing.T) {
	tests := []struct {
		name   string
		do     func(hold <-chan struct{}) func()
		events int // that are dead
		heard  int // of them
		log    string
	}{
		{"one that hangs", func(hold <-chan struct{}) func() { return func() { <-hold } }, notify.MaxWaiting + 10, 1, "the subscribers to Scribegate's events are slower"},
		{"one that panics", func(<-chan struct{}) func() { return func() { panic("PATIENT-TEXT") } }, 50, 50, "a subscriber to an event panicked"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			captured.reset()
			hold := make(chan struct{})
			listen(t, tt.do(hold))
			s, lab, ehr := newSite(t), newBackend(t), newBackend(t)
			defer close(hold) // before Caddy is stopped
			lab.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
			s.load(strings.Replace(upstreams("lab", lab.URL, "ehr", ehr.URL), captureInfo, captureInfo+subscribed, 1), soapnoteTo("lab ehr"))
			for i := range tt.events {
				accepted(t, s, fmt.Sprint(i))
			}
			eventually(t, "all events to be delivered and dead", func() bool {
				all := queued(t).Upstreams
				return all[0].Dead == int64(tt.events) && all[0].Pending+all[1].Pending == 0
			})
			eventually(t, "the subscriber to be notified", func() bool { return len(heardOf(notify.DeadLetter)) == tt.heard })
			eventually(t, "a line in the log", func() bool { return len(captured.with(t, tt.log)) > 0 })
			if strings.Contains(captured.String(), "PATIENT-TEXT") {
				t.Error("the log quotes the panic")
			}
			if d := do(t, s.soapnote("/soapnote", `{}`)); d.status != http.StatusBadRequest {
				t.Errorf("answer %d", d.status)
			}
		})
	}
}

// A subscriber that was slow receives the rest afterwards, and the number of dropped events is
// logged.
func TestNotifierDropsAndGoesOn(t *testing.T) {
	captured.reset()
	hold := make(chan struct{})
	listen(t, func() { <-hold })
	s, lab := newSite(t), newBackend(t)
	s.load(captureLog+subscribed+oneUpstream+lab.URL+"\n\t}", bothProviders)
	n, err := newestNotifier()
	if err != nil {
		t.Fatal(err)
	}
	const extra = 50
	n(notify.Rejected, map[string]any{"n": -1})
	eventually(t, "the first", func() bool { return len(heardOf(notify.Rejected)) == 1 })
	for i := range notify.MaxWaiting + extra {
		n(notify.Rejected, map[string]any{"n": i})
	}
	close(hold)
	eventually(t, "the rest", func() bool { return len(heardOf(notify.Rejected)) == notify.MaxWaiting+1 })
	var order []int
	for _, e := range heardOf(notify.Rejected) {
		order = append(order, e.Data["n"].(int))
	}
	if !slices.IsSorted(order) {
		t.Errorf("notified in the order %v", order)
	}
	eventually(t, "the number of those dropped", func() bool {
		lines := captured.with(t, "events were dropped")
		return len(lines) == 1 && lines[0]["dropped"] == float64(extra)
	})
	n(notify.Rejected, map[string]any{"n": notify.MaxWaiting})
	eventually(t, "one more", func() bool { return len(heardOf(notify.Rejected)) == notify.MaxWaiting+2 })
}

// newestNotifier is what the running app tells Caddy's events to.
func newestNotifier() (func(string, map[string]any), error) {
	app, err := caddy.ActiveContext().App(appName)
	if err != nil {
		return nil, err
	}
	return app.(*App).observer.Notify, nil
}

// Nothing is emitted before the whole configuration has started, nor after it
// has ended, which is no error.
func TestNotifierKeepsToItsConfiguration(t *testing.T) {
	captured.reset()
	listen(t, nil)
	s, lab := newSite(t), newBackend(t)
	load := func() func(string, map[string]any) {
		s.load(captureLog+subscribed+oneUpstream+lab.URL+"\n\t}", bothProviders)
		n, err := newestNotifier()
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	old := load()
	now := load()
	old(notify.Rejected, map[string]any{"of": "old"})
	now(notify.Rejected, map[string]any{"of": "now"})
	eventually(t, "the event of now", func() bool { return len(heardOf(notify.Rejected)) > 0 })
	time.Sleep(50 * time.Millisecond) // for the other, if it came
	for _, e := range heardOf(notify.Rejected) {
		if !maps.Equal(e.Data, map[string]any{"of": "now"}) {
			t.Errorf("event %v", e.Data)
		}
	}

	if lines := captured.with(t, "context canceled"); len(lines) > 0 {
		t.Errorf("log lines %v", lines)
	}
}
