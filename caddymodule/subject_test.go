package caddymodule

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Every line of the log and of the audit trail that names an event names its
// subject too, so that "did note X arrive, and when?" has an answer.
func TestLinesHaveTheSubject(t *testing.T) {
	captured.reset()
	shorten(t, &storeTimeout, 250*time.Millisecond)
	s, ehr, lab, failing := newSite(t), newBackend(t), newBackend(t), newBackend(t)
	lab.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) })
	failing.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadRequest) })
	app := strings.Replace(upstreams("ehr", ehr.URL, "lab", lab.URL, "failing", failing.URL), "QUEUE", gatedQueue+s.dir+"/queue.db\n\t\t}", 1)
	app = strings.ReplaceAll(app, "retry", "events note.generated transcription.completed\n\t\t\tretry")
	s.load(app, `
	scribegate /soapnote soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		drop note.failed
		deliver_to ehr lab failing
	}
	scribegate /soniox soniox {
		header X-Webhook-Secret {env.SONIOX_SECRET}
		deliver_to ehr
	}
	handle /checkpoint {
		scribegate soapnoteapi {
			secret {env.SOAPNOTE_SECRET}
		}
		respond 204
	}`)

	subjects := make(map[string]string) // by event id
	send := func(path, body, subject string) {
		subjects[soapnoteID(body)] = subject
		do(t, s.soapnote(path, body))
	}
	send("/soapnote", note("note-1"), "note-1")
	send("/soapnote", note("note-1"), "note-1") // the duplicate
	send("/soapnote", soapnoteEvent("note.signed", "note-2"), "note-2")
	send("/soapnote", soapnoteEvent("note.failed", "note-3"), "note-3")
	send("/checkpoint", note("note-4"), "note-4")
	send("/soapnote", note("no subject"), "")
	send("/soapnote", `{"event":"note.generated"}`, "") // quarantined
	subjects[sonioxID("tr-1", "completed")] = "tr-1"
	do(t, s.soniox("/soniox", transcription("tr-1")))
	release := storeGate.shut(nil)
	defer release()
	send("/soapnote", note("note-5"), "note-5") // not stored in time
	send("/soapnote", `{"event":"note.failed"}`, "")

	lines := make(map[string]int) // by message, those with a subject
	want := map[string]int{
		"accepted": 2, "duplicate": 1, "unrouted": 1, "dropped": 1, "passed": 1, "rejected": 1, "delivered": 2, "dead": 1,
		"an event is dead": 1, "a delivery failed and will be tried again": 1, warnsUnrouted: 1,
		"an event could not be stored in time": 1, "request rejected: unavailable": 1,
	}
	missing := func() string {
		clear(lines)
		for _, line := range captured.with(t, "") {
			id, ok := line["event_id"].(string)
			if !ok {
				continue
			}
			wantSubject, known := subjects[id]
			got, has := line["subject"]
			if !known || has != (wantSubject != "") || has && got != wantSubject {
				t.Fatalf("want the subject %q in the line %v", wantSubject, line)
			}
			for message := range want {
				if has && strings.HasPrefix(line["msg"].(string), message) {
					lines[message]++
				}
			}
		}
		for message, n := range want {
			if lines[message] < n {
				return message
			}
		}
		return ""
	}
	eventually(t, "every line", func() bool { return missing() == "" })
}
