package caddymodule

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/logging"
)

// recordedWarnings returns the warnings of the running configuration, as the console shows them.
func recordedWarnings() []logging.Warning { return logging.Of(caddy.ActiveContext()).Warnings() }

// checkRecorded checks that the running configuration has recorded just the warnings that are in
// the log.
func checkRecorded(t *testing.T) {
	t.Helper()
	type warning struct{ logger, message string }
	logged, recorded := make(map[warning]bool), make(map[warning]bool)
	for _, line := range warnings(t) {
		if line["level"] == "warn" {
			logged[warning{line["logger"].(string), line["msg"].(string)}] = true
		}
	}
	for _, w := range recordedWarnings() {
		recorded[warning{w.Logger, w.Message}] = true
	}
	if !maps.Equal(logged, recorded) {
		t.Errorf("recorded %v, want what is logged: %v", recorded, logged)
	}
}

// wantRecorded checks the beginnings of the warnings of the running configuration, in any order:
// Caddy provisions its apps in any.
func wantRecorded(t *testing.T, beginnings ...string) {
	t.Helper()
	got := recordedWarnings()
	for _, beginning := range beginnings {
		if !slices.ContainsFunc(got, func(w logging.Warning) bool { return strings.HasPrefix(w.Message, beginning) }) {
			t.Errorf("no warning begins with %q", beginning)
		}
	}
	if len(got) != len(beginnings) {
		t.Errorf("warnings %v, want %d", got, len(beginnings))
	}
}

// Warnings are recorded although the log has none of them, and those of the new configuration
// replace them.
func TestWarningsOfTheRunningConfiguration(t *testing.T) {
	const unused = "no handler delivers to an upstream"
	for name, log := range map[string]string{
		"errors only": "log {\nlevel ERROR\n}\n",
		"no output":   "log {\noutput discard\n}\n",
		"left out":    "log {\nexclude scribegate http.handlers.scribegate http.handlers.scribegate.providers\n}\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			app := log + "scribegate {\nQUEUE\nupstream ehr http://192.0.2.1:9\nupstream unused http://127.0.0.1:9\n}"
			s.load(app, "scribegate /soniox soniox {\nheader Authorization \"Bearer too-short\"\ndeliver_to ehr\n}")
			slips := []string{warnsPlainHTTP, unused, warnsLiteral, warnsShort, warnsAutomaticKey}
			wantRecorded(t, slips...)
			for _, w := range recordedWarnings() {
				if strings.HasPrefix(w.Message, warnsPlainHTTP) {
					want := []logging.Field{{Key: "upstream", Value: "ehr"}, {Key: "host", Value: "192.0.2.1"}}
					if w.Logger != "scribegate" || !slices.Equal(w.Fields, want) {
						t.Errorf("%s has the fields %v, want %v", w.Logger, w.Fields, want)
					}
				}
				for _, f := range w.Fields {
					if strings.Contains(w.Message+f.Value, "too-short") {
						t.Errorf("the warning quotes the secret: %v", w)
					}
				}
			}

			if err := s.tryLoad(app, "scribegate /soniox soniox"); err == nil {
				t.Fatal("a handler without its secret was loaded")
			}
			wantRecorded(t, slips...) // that configuration does not run

			s.load(strings.Replace(app, "http://192.0.2.1", "http://127.0.0.1", 1), "scribegate /soapnote soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\ndeliver_to ehr\n}")
			wantRecorded(t, unused, warnsAutomaticKey)

			s.load(log, "respond 404")
			wantRecorded(t)
		})
	}
}

// Some warnings are logged only after the app has started: those about what waits in the queue,
// when the configuration before has stopped, and those about types that come.
func TestWarningsAfterTheStart(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	b.Close()
	s.load(upstreams("former", b.URL), soapnoteTo("former"))
	wantRecorded(t, warnsAutomaticKey)
	accepted(t, s, "orphan")

	site := strings.Replace(soapnoteTo("ehr"), "deliver_to", "drop note.failed\ndeliver_to", 1)
	s.load(strings.Replace(upstreams("ehr", b.URL), "retry", "events note.failed note.generated\nretry", 1), site)
	const orphaned = "events wait for an upstream that is not configured"
	wantRecorded(t, warnsAutomaticKey, orphaned)

	accepted(t, s, "delivered")
	unrouted := strings.ReplaceAll(note("unrouted"), "note.generated", "note.added")
	for range 2 {
		do(t, s.soapnote("/soapnote", unrouted)).id(t)
	}
	do(t, withoutSignature(s.soapnote("/soapnote", note("forged"))))
	eventually(t, "a delivery to fail", func() bool { return len(captured.with(t, "a delivery failed")) > 0 })
	wantRecorded(t, warnsAutomaticKey, orphaned, warnsUnrouted)
}

// A checkpoint has warnings too, without the app.
func TestWarningsOfACheckpoint(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.load("", checkpoint("/soapnote", "", b))
	wantRecorded(t, "a handler without deliver_to is a checkpoint")
}
