package caddymodule

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
)

// Every command prints one JSON value where it is asked to, also where it finds
// nothing; an export prints one a line, as it does anyway.
func TestCommandsPrintJSON(t *testing.T) {
	a := newAdminSite(t)
	for _, filled := range []bool{false, true} {
		id, subject := "nobody", "note-of-nobody"
		if filled {
			subject = "note-1"
			id = a.settledNote(subject)
		}
		for _, args := range []string{
			"status", "events", "events --state dead", "show " + id, "health", "health live", "keygen",
			"replay --since 1h", "replay --dead", "purge --dead", "compact", "send soapnoteapi --count 2 --to " + a.url + "/soapnote",
			"export", "show " + subject, "events --subject note-1", "backup " + filepath.Join(t.TempDir(), "copy.db"),
		} {
			f := append(strings.Fields(args), "--json")
			if f[0] != "keygen" && f[0] != "send" {
				f = append(f, "--address", a.admin)
			}
			a.settle()
			r := commandtest.Run(t, "", f...)
			if strings.HasSuffix(args, "nobody") {
				if r.Failed(t, "no such event"); r.Out != "" {
					t.Errorf("%s printed %q although it failed", args, r.Out)
				}
				continue
			}
			r.Done(t)
			if args == "export" {
				if plain := a.command("export").Done(t); plain.Out != r.Out {
					t.Errorf("an export as JSON is %q, want %q", r.Out, plain.Out)
				}
				r.Lines(t)
				continue
			}
			var v any
			if r.Decode(t, &v); v == nil {
				t.Errorf("%s printed %q", args, r.Out)
			}
		}
	}
}

// A gateway that is not ready is reported as JSON too, and is an error all the same.
func TestHealthAsJSON(t *testing.T) {
	a := newAdminSite(t)
	if err := gateway.Current().Queue().Close(); err != nil {
		t.Fatal(err)
	}
	r := a.command("health", "--json")
	var h map[string]any
	r.Decode(t, &h)
	if fields(t, "health", h, "status", "reason"); r.Err == nil || r.ErrOut != "" || h["status"] != "unavailable" || !strings.Contains(h["reason"].(string), "reading the queue") {
		t.Errorf("%v, printed %v and %q", r.Err, h, r.ErrOut)
	}
	if r := commandtest.Run(t, "", "health", "--json", "--address", commandtest.ClosedPort(t)); r.Err == nil || r.Out != "" {
		t.Errorf("%v, printed %q for a gateway that was not asked", r.Err, r.Out)
	}
}
