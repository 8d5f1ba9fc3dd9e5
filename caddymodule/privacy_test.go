package caddymodule

import (
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/internal/activity"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/notify"
	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier"
)

// TestNothingLeaks plants secrets in every place where a provider, a stranger, a backend or the
// configuration could put them, makes everything happen that can, and looks for the secrets in
// all that is written, answered or left.
func TestNothingLeaks(t *testing.T) {
	listen(t, nil)
	shorten(t, &bodyTimeout, time.Second)
	collected := newOTLPReceiver(t)
	s := newPrivateSite(t)
	seen := make(evidence)

	s.load(s.config("sqlite"))
	flood := make([]*http.Request, 3*receive.SampleFirst)
	for i := range flood {
		flood[i] = s.soapnote("/soapnote", s.patient(50), set(verifier.SignatureHeader, strings.Repeat("0badf00d", 8)))
	}
	answers := slices.Concat(
		s.sendAll(false, s.acceptedRequests()), s.sendAll(false, s.invalidRequests()), s.sendAll(false, s.forgedRequests()),
		s.sendAll(true, s.acceptedRequests()), s.sendAll(true, s.invalidRequests()), s.sendAll(true, s.forgedRequests()),
		s.sendAll(false, flood),
	)
	s.sendAll(false, s.checkpointRequests())
	s.brokenRequests()
	statuses := make(map[int]int)
	for _, a := range answers {
		statuses[a.status]++
		seen.add("the answers to providers", fmt.Sprint(a.header)+a.body)
	}
	for _, status := range []int{200, 400, 401, 404, 405, 413, 415} {
		if statuses[status] == 0 {
			t.Errorf("no request was answered %d: %v", status, statuses)
		}
	}
	s.completed(s.sendAll(false, s.resultRequests()))
	s.rotated()
	s.delivered()
	if all, quarantined := stored(t); all < 15 || quarantined < 5 {
		t.Errorf("%d events are stored, %d of them quarantined", all, quarantined)
	}
	s.asked(seen)
	seen.add("the site's metrics", s.fetched("/metrics"))
	seen.add("the recorded warnings", fmt.Sprint(recordedWarnings()))
	seen.add("the recent activity", fmt.Sprint(activity.Process.Rejections()))
	s.visited(seen)
	s.typed(seen)
	s.reloaded(seen)
	s.allowed()
	s.recovered()
	s.unwritable(seen)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	s.after(seen)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}

	for _, d := range s.good.deliveries() {
		s.sent(d.header.Get("Webhook-Signature"))
	}
	for _, signatures := range s.blabber.signatures {
		s.sent(signatures)
	}
	seen["the spans"], seen["the events"], seen["standard output"] = collected.whole(), allHeard(), []byte(fileText(t, s.standard))
	s.left(seen)
	s.complete(seen)
	s.mustHoldNothing(seen)
}

// mustHoldNothing fails the test where the evidence holds what is planted.
func (s *privateSite) mustHoldNothing(seen evidence) {
	s.t.Helper()
	size := 0
	for where, content := range seen {
		size += len(content)
		for what, found := range s.found(content) {
			if !public(where, what) {
				s.t.Errorf("%s: there is %s: %s", where, what, found)
			}
		}
	}
	s.t.Logf("%d pieces looked for in %d bytes, in: %s", s.size(), size, strings.Join(slices.Sorted(maps.Keys(seen)), ", "))
}

// public reports whether a planted text may be in an output.
func public(where, what string) bool {
	what, _, _ = strings.Cut(what, ", in ")
	if what == plantedNote || what == plantedTranscription {
		return namesSubjects(where)
	}
	switch where {
	case "the admin API at /config/", "autosave.json", "the command adapt":
		return what == literalPassword || what == literalToken
	case "the spans":
		return what == plantedUserAgent || what == plantedForwarded || what == plantedTraceState
	}
	return false
}

// namesSubjects reports whether the subjects of events may be where it says: in the
// log, the audit trail, the queue's files, and what operators ask about events.
func namesSubjects(where string) bool {
	switch where {
	case "caddy.log", "unfiltered.log", "audit.log", "what Caddy prints":
		return true
	}
	return strings.Contains(where, ".db") || strings.HasPrefix(where, "the admin API at /scribegate/events") || strings.HasPrefix(where, "the command ") ||
		strings.HasPrefix(where, "the console")
}

// sent plants the signatures that a delivery came with.
func (s *privateSite) sent(signatures string) {
	for signature := range strings.FieldsSeq(signatures) {
		s.base64("the signature of a delivery", strings.TrimPrefix(signature, "v1,"))
	}
}

// delivered waits until each upstream has been tried and, where it is not paused,
// has been given up.
func (s *privateSite) delivered() {
	s.t.Helper()
	eventually(s.t, "every upstream to be tried", func() bool {
		tried := make(map[string]bool)
		page, err := gateway.Current().Queue().Events(s.t.Context(), queue.Filter{Limit: 10_000})
		if err != nil {
			s.t.Fatal(err)
		}
		for _, r := range page.Records {
			for _, d := range r.Deliveries {
				tried[d.Upstream] = tried[d.Upstream] || len(d.History) > 0
			}
		}
		for _, u := range queued(s.t).Upstreams {
			if !tried[u.Name] {
				return false
			}
		}
		return len(tried) > 2*len(theBlabs)
	})

	eventually(s.t, "deliveries to end", func() bool {
		for _, u := range queued(s.t).Upstreams {
			if (strings.HasPrefix(u.Name, "good") || u.Name == "refusing" || strings.HasSuffix(u.Name, "gone")) && u.Pending > 0 {
				return false
			}
		}
		return true
	})
}

// left reads every file that there is.
func (s *privateSite) left(seen evidence) {
	s.t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		seen[filepath.Base(path)] = content
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// complete fails the test if something did not happen or is in no output: then the test would
// miss what leaks with it.
func (s *privateSite) complete(seen evidence) {
	s.t.Helper()
	own := []string{
		`"msg":"accepted"`, `"msg":"delivered"`, "an event is dead", "a delivery failed and will be tried again", "an upstream is paused after repeated failures",
		"an upstream is paused, as it requested", "an upstream is no longer paused", "a genuine request with an invalid payload is quarantined", "an event could not be stored",
		"could not be quarantined", "an event could not be completed from its provider's API", "a provider's API failed repeatedly and is paused", "an event is delivered without its transcript",
		"a result could not be deleted at its provider", "the search for missed webhooks failed", "transcriptions were found whose webhook never arrived", "further requests were rejected", "a request's handler panicked", "a secret's file has changed", "a secret's file cannot be used",
		"the queue cannot be written", "a payload was read", "events replayed", "events purged", "queue compacted",
	}
	for _, reason := range verifier.Reasons {
		own = append(own, "request rejected: "+string(reason))
	}
	for _, name := range theBlabs {
		own = append(own, `"upstream":"url-`+name+`"`, `"upstream":"route-`+name+`"`)
		if s.blabber.times("/checkpoint/"+name) == 0 {
			s.t.Errorf("the checkpoint in front of %s passed nothing on", name)
		}
	}
	caddys := []string{
		"handled request", "upstream roundtrip", "rewrote request", `"http.log.trace"`, `"http.log.error"`, "?filtered", `"level":"debug"`, "received request",
		"aborting with incomplete response", "backend tried to switch", errInvalidAnswer.Error(), errNoAnswer.Error(),
		`transport.fastcgi","msg":"roundtrip"`, `transport.fastcgi","msg":"stderr"`,
	}
	for _, r := range s.results {
		own = append(own, `"subject":"`+r.id+`"`)
	}
	seen.mustHold(s.t, map[string][]string{
		"caddy.log":      caddys,
		"unfiltered.log": own,
		"audit.log":      {`"subject":"` + s.place(plantedNote) + `"`, `"subject":"` + s.place(plantedTranscription) + `-1"`, `"accepted"`, `"duplicate"`, `"quarantined"`, `"rejected"`, `"left_out"`, `"delivered"`, `"dead"`, `"completed"`, `"result_deleted"`, `"payload_read"`, `"replayed"`, `"purged"`},
		"the events":     {notify.DeadLetter, notify.UpstreamPaused, notify.UpstreamResumed, notify.Rejected, soapnoteID(s.patient(1))},
		"the spans":      {"site", "inner", "scribegate.receive", "scribegate.deliver", "net/http: abort Handler", "signature_mismatch", "connect_error", soapnoteID(s.patient(1))},

		"standard output":                      {"an upstream sent more than its answer"},
		"the recorded warnings":                {"an option has an unlikely value"},
		"the recent activity":                  {string(verifier.SignatureMismatch), string(verifier.AuthMismatch)},
		"the site's metrics":                   {"scribegate_delivery_attempts_total", "scribegate_requests_rejected_total", `scribegate_fetch_duration_seconds_count{outcome="invalid_answer"`},
		"the admin API at /config/":            {"{env.PLANTED_SOAPNOTE}", "{env.PLANTED_API_KEY}", s.place(literalPassword)},
		"autosave.json":                        {"{env.PLANTED_SOAPNOTE}", s.place(literalPassword)},
		"sqlite.db":                            {soapnoteID(s.patient(1))},
		"the queue.db, while the gateway runs": {soapnoteID(s.patient(1))},
		"the console at the overview":          {string(verifier.SignatureMismatch), "option has an unlikely value"},
		"the console at events":                {soapnoteID(s.patient(1))},
		"the console at event":                 {soapnoteID(s.patient(1)), s.place(plantedNote)},
		"the console at dead":                  {"erring"},
		"the console at job":                   {"replayed"},
		"the command send":                     {"200 OK", "400 Bad Request", "401 Unauthorized", "500 Internal", "connection refused"},
		"the command verify":                   {"signature_mismatch", "signature_malformed", "auth_mismatch", "hint"},
		"the command recover":                  {s.notes[0] + "  recovered", s.notes[7] + "  failed: ", s.result("missed").id + "  known to the store", s.result("pruned").id + "  failed: "},
		"the command export":                   {soapnoteID(s.patient(1)), "payloads are not handed out"},
		"the command show":                     {"payload kept", "payloads are not handed out"},
		"the command export of a file":         {soapnoteID(s.patient(1))},
	})
}

func (s *privateSite) fetched(path string) string {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return do(s.t, r).body
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
