package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
)

func init() { caddy.RegisterModule(brokenApp{}) }

// brokenApp is an app of somebody else's that fails to start.
type brokenApp struct{}

func (brokenApp) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "scribegate_test_broken", New: func() caddy.Module { return new(brokenApp) }}
}

func (brokenApp) Start() error { return errors.New("broken on purpose") }

func (brokenApp) Stop() error { return nil }

// withApp adds an app to a configuration.
func withApp(t *testing.T, cfg []byte, name, app string) []byte {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal(cfg, &all); err != nil {
		t.Fatal(err)
	}
	apps, _ := all["apps"].(map[string]any)
	apps[name] = json.RawMessage(app)
	out, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// spareUpstream makes the app log warnsUnused when it starts. It is put before another
// upstream.
const spareUpstream = "upstream spare http://127.0.0.1:9\n\t\tupstream "

// rejectBroken loads a configuration with a spareUpstream beside a brokenApp, and reports
// whether the app of Scribegate had started before the configuration was rejected. Caddy
// starts apps in random order.
func rejectBroken(t *testing.T, cfg []byte) (started bool) {
	t.Helper()
	before := len(captured.with(t, warnsUnused))
	if err := caddy.Load(withApp(t, cfg, "scribegate_test_broken", "{}"), true); err == nil || !strings.Contains(err.Error(), "broken on purpose") {
		t.Fatalf("error %v", err)
	}
	return len(captured.with(t, warnsUnused)) > before
}

// upstreams is an app with these upstreams, by name and URL.
func upstreams(pairs ...string) string {
	var b strings.Builder
	b.WriteString(captureInfo + "\tscribegate {\n\t\tQUEUE\n")
	for i := 0; i < len(pairs); i += 2 {
		fmt.Fprintf(&b, "\t\tupstream %s %s {\n\t\t\tretry 50ms 50ms 50ms 50ms 50ms 1h\n\t\t}\n", pairs[i], pairs[i+1])
	}
	b.WriteString("\t}\n")
	return b.String()
}

func soapnoteTo(names string) string {
	return "\tscribegate /soapnote soapnoteapi {\n\t\tsecret {env.SOAPNOTE_SECRET}\n\t\tdeliver_to " + names + "\n\t}\n"
}

// accepted posts a note and returns its id.
func accepted(t *testing.T, s *site, id string) string {
	t.Helper()
	return do(t, s.soapnote("/soapnote", note(id))).id(t)
}

// got reports whether a backend got an event.
func (b *backend) gotEvent(id string) bool {
	for _, d := range b.deliveries() {
		if d.header.Get("Webhook-Id") == id {
			return true
		}
	}
	return false
}

func TestReloadKeepsTheQueue(t *testing.T) {
	s, one, two := newSite(t), newBackend(t), newBackend(t)
	s.load(upstreams("ehr", one.URL), soapnoteTo("ehr"))
	g := gateway.Current()
	first := accepted(t, s, "first")
	eventually(t, "the first backend to have it", func() bool { return one.gotEvent(first) })

	s.load(upstreams("ehr", two.URL), soapnoteTo("ehr"))
	if gateway.Current() != g {
		t.Fatal("the reload opened another queue")
	}
	second := accepted(t, s, "second")
	eventually(t, "the second backend to have it", func() bool { return two.gotEvent(second) })
	if one.gotEvent(second) || two.gotEvent(first) {
		t.Error("an event went where it was not to go")
	}
	if r := do(t, s.soapnote("/soapnote", note("first"))); r.id(t) != first || !strings.Contains(r.body, `"duplicate":true`) {
		t.Errorf("the event of before the reload, sent again: %s", r.body)
	}
}

// An upstream that is taken out keeps its events, is shown as orphaned, and has
// them delivered when it comes back.
func TestReloadOrphansAnUpstream(t *testing.T) {
	captured.reset()
	s, ehr, lab := newSite(t), newBackend(t), newBackend(t)
	lab.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	s.load(upstreams("ehr", ehr.URL, "lab", lab.URL), soapnoteTo("ehr lab"))
	id := accepted(t, s, "note-1")
	lab.wait(t, 1)

	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	lab.respond(nil)
	all := queued(t).Upstreams
	if len(all) != 2 || all[0].Name != "ehr" || all[0].Orphaned || all[1].Name != "lab" || !all[1].Orphaned || all[1].Pending != 1 {
		t.Errorf("status %+v", all)
	}
	if warned := captured.with(t, "events wait for an upstream that is not configured"); len(warned) != 1 || warned[0]["upstream"] != "lab" ||
		!strings.Contains(warned[0]["msg"].(string), "define the upstream again, or delete its events: caddy scribegate purge --upstream lab") {
		t.Errorf("warnings %v", warned)
	}

	s.load(upstreams("ehr", ehr.URL, "lab", lab.URL), soapnoteTo("ehr lab"))
	eventually(t, "its backend to have it after all", func() bool {
		all := queued(t).Upstreams
		return lab.gotEvent(id) && all[1].Pending == 0 && !all[1].Orphaned
	})
}

// What a rejected configuration would deliver waits for a good one, and the
// running one goes on as if nothing had been.
func TestRejectedReload(t *testing.T) {
	s, ehr, lab, intruder := newSite(t), newBackend(t), newBackend(t), newBackend(t)
	lab.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	keyed := func(app, key string) string {
		return strings.Replace(app, "QUEUE", "queue sqlite {\n\t\t\tpath "+filepath.Join(s.dir, "queue.db")+"\n\t\t\tencryption_key "+key+"\n\t\t}", 1)
	}
	const key, otherKey = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "OTg3NjU0MzIxMDk4NzY1NDMyMTA5ODc2NTQzMjEwOTg="
	s.load(keyed(upstreams("ehr", ehr.URL, "lab", lab.URL), key), soapnoteTo("ehr lab"))
	waiting := accepted(t, s, "for the lab")
	lab.wait(t, 1)
	s.load(keyed(upstreams("ehr", ehr.URL), key), soapnoteTo("ehr"))
	g := gateway.Current()

	// The rejected one would have the waiting event delivered to the intruder.
	app := keyed(upstreams("ehr", intruder.URL, "lab", intruder.URL), key)
	whole, err := adapt(s.caddyfile(strings.Replace(app, "upstream ", spareUpstream, 1), soapnoteTo("ehr lab")))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, want string
		load       func() error
	}{
		{"that cannot be adapted", "nowhere", func() error { return s.tryLoad(app, soapnoteTo("nowhere")) }},
		{"whose app cannot be provisioned", "unset", func() error {
			return s.tryLoad(strings.Replace(app, "upstream ehr", "signing_secret {env.SCRIBEGATE_TEST_UNSET}\n\t\tupstream ehr", 1), soapnoteTo("ehr lab"))
		}},
		{"whose handler cannot be provisioned", "unset", func() error {
			return s.tryLoad(app, strings.Replace(soapnoteTo("ehr lab"), "SOAPNOTE_SECRET", "SCRIBEGATE_TEST_UNSET", 1))
		}},
		{"with an unknown app", "unknown", func() error { return caddy.Load(withApp(t, whole, "scribegate_no_such", "{}"), true) }},
		{"that lacks the queue's key", "add the older key", func() error {
			return s.tryLoad(strings.Replace(app, key, otherKey, 1), soapnoteTo("ehr lab"))
		}},
	}
	check := func(t *testing.T, i int) {
		t.Helper()
		if gateway.Current() != g {
			t.Fatal("the queue was opened anew")
		}
		id := accepted(t, s, fmt.Sprintf("after rejection %d", i))
		eventually(t, "the running configuration to deliver", func() bool { return ehr.gotEvent(id) })
		if n := len(intruder.deliveries()); n != 0 {
			t.Fatalf("the rejected configuration made %d deliveries", n)
		}
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.load()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one with %q", err, tt.want)
			}
			check(t, i)
		})
	}
	t.Run("with another app that does not start", func(t *testing.T) {
		captured.reset()
		saw := make(map[bool]bool)
		for i := 0; i < 100 && len(saw) < 2; i++ {
			saw[rejectBroken(t, whole)] = true
			check(t, 100+i)
		}
		if len(saw) < 2 {
			t.Errorf("whether the app had started before it was rejected: %v, want both", saw)
		}
	})

	s.load(keyed(upstreams("ehr", ehr.URL, "lab", intruder.URL), key), soapnoteTo("ehr lab"))
	eventually(t, "the waiting event to be delivered by a good configuration", func() bool { return intruder.gotEvent(waiting) })
	id := accepted(t, s, "after all of them")
	eventually(t, "the good configuration, and no rejected one, to deliver", func() bool { return ehr.gotEvent(id) })
}

func TestValidateBesideTheRunningServer(t *testing.T) {
	s, ehr, other := newSite(t), newBackend(t), newBackend(t)
	s.load(upstreams("ehr", ehr.URL), soapnoteTo("ehr"))
	g := gateway.Current()
	cfg, err := adapt(s.caddyfile(upstreams("ehr", other.URL), soapnoteTo("ehr")))
	if err != nil {
		t.Fatal(err)
	}
	parsed := new(caddy.Config)
	if err := json.Unmarshal(cfg, parsed); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(parsed); err != nil {
		t.Fatal(err)
	}
	id := accepted(t, s, "note-1")
	eventually(t, "the running configuration to deliver", func() bool { return ehr.gotEvent(id) })
	if gateway.Current() != g || len(other.deliveries()) != 0 {
		t.Error("validating had an effect")
	}
}

func TestSeveralHandlersShareTheApp(t *testing.T) {
	s, ehr, lab := newSite(t), newBackend(t), newBackend(t)
	block := soapnoteTo("ehr lab") + strings.NewReplacer("/soapnote", "/second", "secret", "source https://soapnoteapi.com/second\n\t\tsecret").Replace(soapnoteTo("lab")) +
		"}\nhttp://localhost:" + s.port + " {\n" + soapnoteTo("ehr")
	s.load(upstreams("ehr", ehr.URL, "lab", lab.URL), block)
	first := accepted(t, s, "note-1")
	second := do(t, s.soapnote("/second", note("note-1"))).id(t)
	if first == second {
		t.Error("two sources made one id")
	}
	r := s.soapnote("/soapnote", note("note-2"))
	r.Host = "localhost:" + s.port
	third := do(t, r).id(t)
	eventually(t, "all deliveries", func() bool {
		return ehr.gotEvent(first) && lab.gotEvent(first) && lab.gotEvent(second) && ehr.gotEvent(third)
	})
	if ehr.gotEvent(second) || lab.gotEvent(third) {
		t.Error("an event went where it was not to go")
	}
}
