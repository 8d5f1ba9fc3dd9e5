package caddymodule

import (
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
)

// command adds the admin endpoint to a command's arguments.
func (a *adminSite) command(args ...string) commandtest.Result {
	a.t.Helper()
	return commandtest.Run(a.t, "", append(args, "--address", a.admin)...)
}

func TestStatusCommand(t *testing.T) {
	a := newAdminSite(t)
	a.settledNote("note-1")
	out := a.command("status").Done(t).Out
	rows := commandtest.Rows(out)
	if rows[0][0] != "UPSTREAM" || strings.Join(rows[1][:7], " ") != "ehr 0 0 0 no no -" || strings.Join(rows[2][:8], " ") != "lab 0 0 1 no no - -" || !strings.Contains(out, "ago: status 410\n") {
		t.Errorf("printed\n%s", out)
	}
	if last := rows[len(rows)-1]; last[0] != "queue" || last[1] != "sqlite:" || !strings.Contains(out, "of 10 GiB, 0 quarantined, 0 unrouted, 0 unconfirmed, 0 unreadable\n") {
		t.Errorf("printed\n%s", out)
	}
	var s map[string]any
	a.command("status", "--json").Done(t).Decode(t, &s)
	fields(t, "status", s, "queue", "upstreams")
}

// A dead event is found, looked at, and sent again.
func TestDeadEventIsReplayedByCommand(t *testing.T) {
	a := newAdminSite(t)
	id := a.settledNote("note-1")
	other := a.settledNote("note-2")

	rows := commandtest.Rows(a.command("events", "--state", "dead").Done(t).Out)
	if len(rows) != 3 || rows[0][1] != "ID" || rows[0][2] != "SUBJECT" || rows[1][2] != other || rows[1][3] != "note-2" || rows[2][2] != id || rows[2][5] != "lab" {
		t.Errorf("dead events: %v", rows)
	}
	var listed []map[string]any
	a.command("events", "--state", "dead", "--upstream", "lab", "--limit", "1", "--json").Done(t).Decode(t, &listed)
	if len(listed) != 1 || listed[0]["id"] != other {
		t.Errorf("the newest dead event: %v", listed)
	}
	a.command("events", "--state", "pending", "--json").Done(t).Decode(t, &listed)
	if len(listed) != 0 {
		t.Errorf("pending events: %v", listed)
	}

	out := a.command("show", id).Done(t).Out
	for _, want := range []string{id, "soapnoteapi", "note.generated", "ehr: delivered after 1 attempt\n", "lab: dead after 1 attempt\n", "success", "204", "gone", "410"} {
		if !strings.Contains(out, want) {
			t.Errorf("show printed no %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "PATIENT-TEXT") {
		t.Errorf("show printed the payload:\n%s", out)
	}

	a.lab.respond(nil)
	if out := a.command("replay", id, "--upstream", "lab").Done(t).Out; out != "1 delivery replayed\n" {
		t.Errorf("replay printed %q", out)
	}
	got := a.lab.wait(t, 3)[2]
	if got.header.Get("Webhook-Id") != id || got.header.Get("Scribegate-Attempt") != "1" {
		t.Errorf("delivered %s, attempt %s", got.header.Get("Webhook-Id"), got.header.Get("Scribegate-Attempt"))
	}
	a.settle()
	var done map[string]any
	a.command("replay", "--dead", "--json").Done(t).Decode(t, &done)
	if fields(t, "replay", done, "replayed", "without_payload")["replayed"] != 1.0 {
		t.Errorf("replay printed %v", done)
	}
	a.lab.wait(t, 4)
	a.settle()
	if out := a.command("replay", "--dead").Done(t).Out; out != "0 deliveries replayed\n" {
		t.Errorf("with nothing dead, replay printed %q", out)
	}
	if out := a.command("replay", "--since", "1h").Done(t).Out; out != "0 deliveries replayed, 2 events skipped since the payload is no longer kept\n" {
		t.Errorf("with no payload left, replay printed %q", out)
	}
	a.command("replay", id).Failed(t, "payload is no longer kept")
}

func TestShowPayloadCommand(t *testing.T) {
	captured.reset()
	a := newAdminSite(t)
	id := a.settledNote("note-1")
	a.command("show", id, "--payload").Failed(t, "admin_payloads")
	a.run(strings.Replace(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), "QUEUE", "QUEUE\n\t\tadmin_payloads", 1), soapnoteTo("ehr lab"))
	if out := a.command("show", id, "--payload").Done(t).Out; !strings.Contains(out, "PATIENT-TEXT") {
		t.Errorf("printed %s", out)
	}
	var e map[string]any
	a.command("show", id, "--payload", "--json").Done(t).Decode(t, &e)
	if content, _ := e["content"].(map[string]any); e["id"] != id || content["event"] == nil {
		t.Errorf("as JSON: %v", e)
	}
	if lines := captured.with(t, "a payload was read"); len(lines) != 2 {
		t.Errorf("%d lines in the log, want one for each", len(lines))
	}
}

func TestQueueCommandMistakes(t *testing.T) {
	a := newAdminSite(t)
	id := a.settledNote("note-1")
	for _, tt := range []struct{ args, want string }{
		{"events --state lost", `state "lost" is unknown`},
		{"events --upstream nobody", `upstream "nobody" is unknown`},
		{"events --subject a/b", "subject must be the id of a note or transcription"},
		{"events --type a:b", "type must be a short type"},
		{"events --since ever", "since must be a duration"},
		{"show note-9", "no such event; `caddy scribegate events` lists"},
		{"show note/1", "no such event; `caddy scribegate events` lists"},
		{"replay --dead --unrouted", "exactly one of them"},
		{"replay --unrouted --unconfirmed", "exactly one of them"},
		{"purge --unrouted --unconfirmed", "exactly one of them"},
		{"purge --unconfirmed --force", "--force needs ids"},
		{"events --limit 0", "--limit must be at least 1"},
		{"show soapnoteapi-00", "no such event"},
		{"replay", "choose what to replay"},
		{"replay --upstream ehr", "choose what to replay"},
		{"replay --dead --since 1h", "exactly one of them"},
		{"replay " + id + " --dead", "exactly one of them"},
		{"replay soapnoteapi-00", "no such event"},
		{"replay --dead --upstream nobody", `upstream "nobody" is not configured, so nothing would be delivered to it; configured are: ehr, lab`},
		{"replay --dead --upstream=", `--upstream is empty`},
		{"replay --since ever", "since must be a duration"},
		{"purge", "choose what to purge"},
		{"purge --before 1h", "choose what to purge"},
		{"purge " + id + " --dead", "exactly one of them"},
		{"purge " + id + " --before 1h", "--before needs --dead, --quarantined, --unrouted or --unconfirmed"},
		{"purge --upstream lab --before 1h", "--before needs --dead, --quarantined, --unrouted or --unconfirmed"},
		{"purge --dead --before=", "--before is empty"},
		{"purge --dead --quarantined", "exactly one of them"},
		{"purge --dead --upstream lab", "exactly one of them"},
		{"purge --dry-run", "choose what to purge"},
		{"purge --yes", "choose what to purge"},
		{"purge --force", "choose what to purge"},
		{"purge --dead --force", "--force needs ids"},
		{"purge --upstream=", "--upstream is empty"},
		{"purge --upstream nobody", `upstream "nobody" is unknown; known are: ehr, lab`},
		{"purge --upstream nobody --dry-run", `upstream "nobody" is unknown; known are: ehr, lab`},
		{"purge --dead " + id + " --dry-run", "exactly one of them"},
		{"purge soapnoteapi-00", "no such event"},
		{"purge --dead --before ever", "before must be a duration"},
	} {
		t.Run(tt.args, func(t *testing.T) {
			a.command(strings.Fields(tt.args)...).Failed(t, tt.want)
		})
	}
	a.command("status").Done(t)
}

func TestHealthCommand(t *testing.T) {
	a := newAdminSite(t)
	for _, tt := range []struct{ args, want string }{
		{"health", "ready: ok\n"}, {"health ready", "ready: ok\n"}, {"health live", "live: ok\n"},
	} {
		if out := a.command(strings.Fields(tt.args)...).Done(t).Out; out != tt.want {
			t.Errorf("%s printed %q, want %q", tt.args, out, tt.want)
		}
	}
	var h map[string]any
	a.command("health", "--json").Done(t).Decode(t, &h)
	fields(t, "health", h, "status")
	if r := a.command("health", "well"); r.Err == nil {
		t.Error("a probe that there is not was answered")
	}
	if err := gateway.Current().Queue().Close(); err != nil {
		t.Fatal(err)
	}
	a.command("health", "live").Done(t)
	r := a.command("health", "ready")
	r.Failed(t, "not ready: reading the queue")
	if strings.Count(r.ErrOut, "\n") != 1 {
		t.Errorf("more than one line: %q", r.ErrOut)
	}
}
