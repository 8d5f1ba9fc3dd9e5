package caddymodule

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
)

// trail has the audit trail go into a file of its own, and nowhere else, as the
// reference's Caddyfile does.
func trail(file string) string {
	return `
	log default {
		output capture
		format json
		level DEBUG
		exclude scribegate.audit
	}
	log audit {
		include scribegate.audit
		output file ` + file + `
	}
`
}

// An auditLine is a line of the trail: its fields in their order.
type auditLine struct {
	keys   []string
	fields map[string]any
}

// is reports whether a line tells of an action and has just these other fields,
// in this order.
func (l auditLine) is(what audit.Action, keys ...string) bool {
	want := append(append([]string{"level", "ts", "logger", "msg"}, keys...), "node", "seq", "chain")
	return l.fields["msg"] == string(what) && l.fields["logger"] == "scribegate.audit" &&
		fmt.Sprint(l.keys) == fmt.Sprint(want)
}

func auditLines(t *testing.T, file string) (lines []auditLine) {
	t.Helper()
	flushLogs()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for text := range strings.Lines(string(content)) {
		var l auditLine
		if err := json.Unmarshal([]byte(text), &l.fields); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		dec := json.NewDecoder(strings.NewReader(text))
		for depth, key := 0, false; ; {
			token, err := dec.Token()
			if err != nil {
				break
			}
			switch d, delim := token.(json.Delim); {
			case delim && (d == '{' || d == '['):
				depth++
				key = d == '{'
				continue
			case delim:
				depth--
			case depth == 1 && key:
				l.keys = append(l.keys, token.(string))
				key = false
				continue
			}
			key = depth == 1
		}
		lines = append(lines, l)
	}
	return lines
}

// TestAuditTrail does everything that the trail tells of, and reads it.
func TestAuditTrail(t *testing.T) {
	captured.reset()
	s := newSite(t)
	a := &adminSite{site: s, admin: "127.0.0.1:" + freePort(t), ehr: newBackend(t), lab: newBackend(t)}
	a.lab.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	file := filepath.Join(s.dir, "audit.log")
	app := strings.Replace(upstreams("ehr", a.ehr.URL, "lab", a.lab.URL), "QUEUE", "QUEUE\n\t\tadmin_payloads\n\t\tkeep_delivered 1h", 1)
	a.run(trail(file)+strings.TrimPrefix(app, captureInfo), soapnoteTo("ehr lab"))

	id := a.settledNote("note-1")
	accepted(t, s, "note-1")
	const bad = `{"no json`
	do(t, s.soapnote("/soapnote?user_id=QUERY", bad))
	forged := s.soapnote("/soapnote", note("forged"))
	forged.Header.Set("X-SoapNoteAPI-Signature", strings.Repeat("0", 64))
	for range 3 * receive.SampleFirst {
		do(t, forged.Clone(t.Context()))
	}
	a.object("GET", "/scribegate/events/"+id+"/payload", "")
	a.object("POST", "/scribegate/replay", `{"ids":["`+id+`"],"upstream":"lab"}`)
	a.settle()
	a.object("POST", "/scribegate/replay", `{"dead":true}`)
	a.settle()
	a.object("POST", "/scribegate/replay", `{"since":"1h"}`)
	a.settle()
	a.ask("POST", "/scribegate/replay", `{"ids":["unknown"]}`)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+a.admin+"/scribegate/purge", strings.NewReader(`{"dead":true,"before":"1h"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Origin", "http://"+a.admin+"/path?PATIENT-TEXT")
	do(t, request)
	for _, body := range []string{`{"ids":["` + id + `"]}`, `{"ids":["` + soapnoteID(bad) + `"],"force":true}`, `{"quarantined":true}`, `{"upstream":"lab"}`} {
		a.object("POST", "/scribegate/purge", body[:len(body)-1]+`,"dry_run":true}`)
		a.object("POST", "/scribegate/purge", body)
	}
	eventually(t, "the flood to be counted", func() bool { return strings.Contains(fileText(t, file), "left_out") })

	event := []string{"event_id", "subject", "provider", "type"}
	with := func(more ...string) []string { return append(append([]string{}, event...), more...) }
	tests := []struct {
		name  string
		what  audit.Action
		keys  []string
		want  map[string]any
		count int // 0 is at least one
	}{
		{"started", audit.Started, []string{"version"}, map[string]any{"seq": 1.0}, 1},
		{"accepted", audit.Accepted, with("by"), map[string]any{"event_id": id, "subject": "note-1", "provider": "soapnoteapi", "type": "note.generated", "by": "127.0.0.1"}, 1},
		{"duplicate", audit.Duplicate, with("by"), map[string]any{"event_id": id}, 1},
		{"quarantined", audit.Quarantined, []string{"event_id", "provider", "type", "by"}, map[string]any{"type": "other", "by": "127.0.0.1"}, 1},
		{"rejected and genuine", audit.Rejected, []string{"event_id", "provider", "reason", "by"}, map[string]any{"reason": "payload"}, 1},
		{"rejected", audit.Rejected, []string{"provider", "reason", "by"}, map[string]any{"reason": "signature_mismatch", "by": "127.0.0.1"}, 0},
		{"left out", audit.Rejected, []string{"provider", "reason", "left_out"}, map[string]any{"reason": "signature_mismatch"}, 0},
		{"delivered", audit.Delivered, with("upstream", "attempt", "status", "duration"), map[string]any{"event_id": id, "upstream": "ehr", "attempt": 1.0, "status": 204.0}, 2},
		{"dead", audit.Dead, with("upstream", "attempt", "reason"), map[string]any{"event_id": id, "upstream": "lab", "reason": "gone"}, 4},
		{"payload read", audit.PayloadRead, with("by"), map[string]any{"event_id": id}, 1},
		{"replayed by id", audit.Replayed, []string{"event_ids", "upstream", "deliveries", "without_payload", "by"}, map[string]any{"upstream": "lab", "deliveries": 1.0}, 1},
		{"replayed the dead", audit.Replayed, []string{"selection", "deliveries", "without_payload", "by"}, map[string]any{"selection": "dead", "deliveries": 1.0}, 1},
		{"replayed by time", audit.Replayed, []string{"selection", "since", "deliveries", "without_payload", "by"}, map[string]any{"selection": "since", "deliveries": 2.0}, 1},
		{"purged the dead, by a browser", audit.Purged, []string{"selection", "before", "events", "by", "origin"}, map[string]any{"origin": "http://" + a.admin, "events": 0.0}, 1},
		{"purged by id", audit.Purged, []string{"event_ids", "events", "by"}, map[string]any{"events": 1.0}, 1},
		{"purged by force", audit.Purged, []string{"event_ids", "force", "events", "by"}, map[string]any{"force": true, "events": 1.0}, 1},
		{"purged the quarantined", audit.Purged, []string{"selection", "events", "by"}, map[string]any{"selection": "quarantined", "events": 0.0}, 1},
		{"purged an upstream's", audit.Purged, []string{"selection", "upstream", "events", "by"}, map[string]any{"selection": "upstream", "upstream": "lab", "events": 0.0}, 1},
	}
	lines := auditLines(t, file)
	known := 0
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := 0
			for _, l := range lines {
				if !l.is(tt.what, tt.keys...) {
					continue
				}
				for key, want := range tt.want {
					if l.fields[key] != want {
						t.Errorf("%s is %v, want %v", key, l.fields[key], want)
					}
				}
				found++
			}
			if found == 0 || tt.count != 0 && found != tt.count {
				t.Errorf("%d lines, want %d", found, tt.count)
			}
			known += found
		})
	}
	if known != len(lines) {
		t.Errorf("%d of %d lines are of a known kind:\n%s", known, len(lines), fileText(t, file))
	}
	for _, secret := range []string{"PATIENT", "QUERY", "?"} {
		if strings.Contains(fileText(t, file), secret) {
			t.Errorf("the trail holds %s", secret)
		}
	}
	if strings.Contains(captured.String(), "scribegate.audit") {
		t.Error("the default log has the trail as well")
	}
	logged, leftOut := 0, 0.0
	for _, l := range lines {
		if l.fields["reason"] == "signature_mismatch" {
			if n, ok := l.fields["left_out"].(float64); ok {
				leftOut += n
			} else {
				logged++
			}
		}
	}
	if logged+int(leftOut) != 3*receive.SampleFirst {
		t.Errorf("%d forged requests are logged and %v left out, want %d in all", logged, leftOut, 3*receive.SampleFirst)
	}
}

// Where nothing is said about the trail, it is in Caddy's default log; an event
// that cannot be stored is in it with its id.
func TestAuditWithoutALogOfItsOwn(t *testing.T) {
	captured.reset()
	shorten(t, &storeTimeout, 250*time.Millisecond)
	s, b := newSite(t), newBackend(t)
	s.load(captureLog+strings.Replace(oneUpstream, "QUEUE", "queue sqlite {\n\t\t\tpath "+filepath.Join(s.dir, "queue.db")+"\n\t\t\tmax_size 1B\n\t\t}", 1)+b.URL+"\n\t}", bothProviders)
	if r := do(t, s.soniox("/soniox", transcription("tr-1"))); r.status != http.StatusServiceUnavailable {
		t.Fatalf("answer %d %s", r.status, r.body)
	}
	lines := captured.with(t, string(audit.Rejected))
	if len(lines) != 1 || lines[0]["logger"] != "scribegate.audit" || lines[0]["reason"] != "unavailable" || !strings.HasPrefix(fmt.Sprint(lines[0]["event_id"]), "soniox-") {
		t.Errorf("lines %v", lines)
	}
}
