package caddymodule

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/verifier"
)

// What must be nowhere. Each string is unmistakable, and part of what a stranger
// or a thief of logs could use, or of what a patient said.
const (
	plantedSecret  = "whsec_PLANTEDsoapnoteSECRETPLANTEDsoapnote"
	plantedSoniox  = "PLANTEDsonioxVALUE"
	plantedSigning = "whsec_UExBTlRFRHNpZ25pbmdTRUNSRVRQTEFOVEVEc2ln"
	plantedText    = "PLANTEDpatientTEXT"
	plantedNoteID  = "PLANTEDnoteID"
	plantedQuery   = "PLANTEDqueryVALUE"
	plantedError   = "PLANTEDbackendERROR"
	plantedHeader  = "PLANTEDinboundHEADER"
)

// shippedLog is the log block of the root Caddyfile, writing to a file.
func shippedLog(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile("../Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	const begin = "\tlog default {\n"
	_, rest, found := strings.Cut(string(content), begin)
	block, _, closed := strings.Cut(rest, "\n\t}\n")
	if !found || !closed || !strings.Contains(block, "format filter") {
		t.Fatal("the root Caddyfile has no log block with a filter")
	}
	return begin + "\t\toutput file " + file + "\n" + block + "\n\t}\n"
}

// leaks names the planted strings that a text holds, each with the beginning of
// the first line that holds it, and for a line of the log with the field.
func leaks(where string, content []byte, planted []string) (found []string) {
	for _, p := range planted {
		for line := range strings.Lines(string(content)) {
			if !strings.Contains(line, p) {
				continue
			}
			place := where
			var fields map[string]json.RawMessage
			if json.Unmarshal([]byte(line), &fields) == nil {
				for name, value := range fields {
					if strings.Contains(string(value), p) {
						place += fmt.Sprintf(", field %s of %s %s", name, fields["logger"], fields["msg"])
					}
				}
			}
			found = append(found, fmt.Sprintf("%s holds %s: %.200s", place, p, line))
			break
		}
	}
	return found
}

func TestNothingLeaks(t *testing.T) {
	t.Setenv("PLANTED_SOAPNOTE", plantedSecret)
	t.Setenv("PLANTED_SONIOX", plantedSoniox)
	t.Setenv("PLANTED_SIGNING", plantedSigning)
	listen(t, nil)
	collected := newOTLPReceiver(t)
	s := newSite(t)
	good, failing := newBackend(t), newBackend(t)
	// A backend that says all that it should keep to itself, as status, text,
	// headers, and a redirect to where it was called, or hangs up in the middle.
	failing.respond(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Error", plantedError)
		w.Header().Set("X-Echo-Signature", r.Header.Get("Webhook-Signature")+r.Header.Get(verifier.SignatureHeader))
		w.Header().Set("Location", "/elsewhere?"+r.URL.RawQuery)
		switch r.URL.Path {
		case "/redirect":
			w.WriteHeader(http.StatusPermanentRedirect)
		case "/hangup":
			panic(http.ErrAbortHandler)
		case "/cutoff":
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write(body[:10])
		default:
			w.WriteHeader(http.StatusInternalServerError)
		}
		_, _ = w.Write(append([]byte(plantedError), body...))
	})

	logFile := filepath.Join(s.dir, "caddy.log")
	adminPort := freePort(t)
	config := strings.NewReplacer(
		"LOG", strings.TrimRight(shippedLog(t, logFile), "\n"), "ADMIN", adminPort, "DIR", s.dir, "SITE", s.port,
		"FAILING", failing.address(), "GOOD", good.address(), "GONE", "127.0.0.1:"+freePort(t),
	).Replace(fileText(t, "testdata/privacy.caddyfile"))
	adapted, err := adapt(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}

	query := "?user_id=" + plantedQuery + "&x;y=" + plantedQuery
	dressed := func(r *http.Request) *http.Request {
		r.Header.Set("Referer", "https://example.com/"+query)
		r.Header.Set("X-Anything", plantedHeader)
		r.Header.Set("Traceparent", plantedHeader)
		return r
	}
	soapnote := func(path, body string, changes ...change) *http.Request {
		r := s.soapnote(path+query, body)
		signed(plantedSecret, 0)(r)
		for _, c := range changes {
			c(r)
		}
		return dressed(r)
	}
	soniox := func(path, body string, changes ...change) *http.Request {
		r := s.soniox(path+query, body)
		r.Header.Set(sonioxHeader, plantedSoniox)
		for _, c := range changes {
			c(r)
		}
		return dressed(r)
	}
	patient := func(n int) string {
		return fmt.Sprintf(`{"event":"note.generated","note_id":"%s","status":"completed","created_at":"%s","data":{"subjective":"%s","n":%d}}`, plantedNoteID, plantedText, plantedText, n)
	}
	planted := []string{
		plantedSecret, strings.TrimPrefix(plantedSecret, "whsec_"), plantedSoniox, plantedSigning, "PLANTEDsigningSECRET",
		plantedText, plantedNoteID, plantedQuery, plantedError, plantedHeader,
	}
	forged := strings.Repeat("0badf00d", 8)
	planted = append(planted, forged)

	requests := []*http.Request{
		soapnote("/soapnote", patient(1)), soapnote("/soapnote", patient(1)), soapnote("/soapnote", patient(2), chunked),
		soapnote("/soapnote", `{"event":"`+plantedText+` no word","note_id":"`+plantedText+` ","status":"`+plantedText+`","created_at":"x"}`),
		soapnote("/soapnote", `{"event":"note.failed","note_id":"x","status":"failed","created_at":"`+plantedText+`"}`),
		soniox("/soniox", `{"id":"known","status":"completed","text":"`+plantedText+`"}`),
		// Genuine and no event.
		soapnote("/soapnote", plantedText), soapnote("/soapnote", `{"`+plantedText+`":1,"`+plantedText+`":1}`),
		soapnote("/soapnote", `{"event":"\ud800`+plantedText+`"}`), soapnote("/soapnote", "\xff"+plantedText),
		soniox("/soniox", `{"id":"`+plantedText+`/","status":"completed"}`), soniox("/soniox", `{"id":"a","status":"`+plantedText+`"}`),
		// Not genuine, in every way.
		soapnote("/soapnote", patient(3), set(verifier.SignatureHeader, forged)), soapnote("/soapnote", patient(3), set(verifier.SignatureHeader, plantedSecret)),
		soapnote("/soapnote", patient(3), set(verifier.TimestampHeader, plantedHeader)), soapnote("/soapnote", patient(3), twice(verifier.SignatureHeader)),
		soapnote("/soapnote", patient(3), without(verifier.TimestampHeader)), soapnote("/soapnote", patient(3), signed(plantedSecret, -7200)),
		soapnote("/soapnote", patient(3), set("Authorization", plantedHeader), set("Cookie", plantedHeader), without(verifier.SignatureHeader)),
		soniox("/soniox", patient(3), set(sonioxHeader, plantedSoniox+"x")), soniox("/soniox", patient(3), twice(sonioxHeader)),
		soapnote("/soapnote", patient(3), coding(plantedHeader)), soapnote("/soapnote", patient(3), method("PUT")),
		soniox("/soniox", strings.Repeat(plantedText, 10_000)), soniox("/soniox", strings.Repeat(plantedText, 10_000), chunked),
		// Checkpoints, whose backends answer, fail, hang up and are away.
		soapnote("/checkpoint/good", patient(4)), soapnote("/checkpoint/failing", patient(4)), soapnote("/checkpoint/raw/x", patient(4)),
		soniox("/checkpoint/hangup", transcription("x")), soapnote("/checkpoint/unreachable", patient(4)), soapnote("/checkpoint/good", plantedText),
		// Nobody's.
		soapnote("/elsewhere", patient(5)), soapnote("/elsewhere", patient(5), method("GET")),
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answered := make(map[int]int)
	for _, r := range requests {
		if sig := r.Header.Get(verifier.SignatureHeader); len(sig) == 64 {
			planted = append(planted, sig, strings.ToUpper(sig))
		}
		resp, err := client.Do(r)
		if err != nil {
			continue // a checkpoint's backend that hung up
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		answered[resp.StatusCode]++
		if !strings.HasPrefix(r.URL.Path, "/checkpoint") || resp.StatusCode == http.StatusBadRequest {
			for _, leak := range leaks("the answer", body, planted) {
				t.Error(leak)
			}
		}
	}
	// A body that stops in the middle, and bytes that are no request.
	w := s.dial()
	w.write(head("/soapnote"+query, 100, soapnoteFields("x")...) + plantedText)
	_ = w.conn.CloseWrite()
	w.answer()
	w = s.dial()
	w.write("POST /soapnote" + query + " HTTP/1.1\r\nHost: x\r\n" + plantedHeader + "\r\n\r\n")
	w.answer()
	for _, status := range []int{200, 204, 308, 400, 401, 404, 405, 413, 415, 500, 502} {
		if answered[status] == 0 {
			t.Errorf("no request was answered %d: %v", status, answered)
		}
	}

	// Deliveries end in every way: taken, dead after retries, or still waiting
	// for a backend that is away.
	ends := map[string]bool{"good": true, "good-raw": true, "route-good": true, "failing": true, "failing-raw": true, "redirecting": true, "route-failing": true, "route-redirecting": true}
	eventually(t, "deliveries to end", func() bool {
		for _, u := range queued(t).Upstreams {
			if u.Paused || !ends[u.Name] {
				continue // a failing upstream is paused, and probed every second
			}
			if u.Pending > 0 {
				return false
			}
		}
		return true
	})
	eventually(t, "attempts at those that are away", func() bool {
		text := fileText(t, logFile)
		for _, name := range []string{"hanging-up", "cut-off", "unreachable", "route-hanging-up", "route-unreachable"} {
			if !strings.Contains(text, `"upstream":"`+name+`"`) {
				return false
			}
		}
		return true
	})
	for _, b := range []*backend{good, failing} {
		for _, d := range b.deliveries() {
			if sig := d.header.Get("Webhook-Signature"); sig != "" {
				planted = append(planted, strings.TrimPrefix(sig, "v1,"))
			}
		}
	}

	slices.Sort(planted)
	planted = slices.Compact(planted)
	admin := "http://127.0.0.1:" + adminPort
	places := map[string][]byte{"the Caddyfile's JSON": adapted}
	for _, path := range []string{
		"/config/", "/metrics", "/scribegate/status", "/scribegate/events?limit=1000", "/scribegate/events/" + soapnoteID(patient(1)),
		"/scribegate/events/" + soapnoteID(patient(1)) + "/payload", "/scribegate/events/" + plantedNoteID[:3], "/scribegate/health/ready",
	} {
		places["admin "+path] = fetch(t, admin+path)
	}
	places["the site's metrics"] = fetch(t, s.url+"/metrics")
	if text := string(places["the site's metrics"]); !strings.Contains(text, "scribegate_delivery_attempts_total") || !strings.Contains(text, "scribegate_requests_rejected_total") {
		t.Error("the metrics are not Scribegate's")
	}
	if all, quarantined := stored(t); all < 5 || quarantined != 4 {
		t.Errorf("%d events are stored, %d of them quarantined", all, quarantined)
	}
	// What is left to be told: a payload is read, the failing backend is well
	// again, and events are replayed and purged.
	adapted, err = adapt(strings.Replace(config, "signing_secret", "admin_payloads\n\t\tsigning_secret", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(adapted, true); err != nil {
		t.Fatal(err)
	}
	a := &adminSite{site: s, admin: "127.0.0.1:" + adminPort}
	a.object("GET", "/scribegate/events/"+soapnoteID(patient(1))+"/payload", "")
	failing.respond(nil)
	a.object("POST", "/scribegate/replay", `{"dead":true}`)
	eventually(t, "an upstream to be resumed", func() bool { return len(heardOf(eventUpstreamResumed)) > 0 })
	a.object("POST", "/scribegate/purge", `{"ids":["`+soapnoteID(plantedText)+`"]}`)
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	places["the spans"], places["the events"] = collected.whole(), allHeard()
	err = filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			places[filepath.Base(path)] = []byte(fileText(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	log := string(places["caddy.log"])
	for _, line := range []string{
		"handled request", "upstream roundtrip", "rewrote request", "request rejected: ", "an event is dead", "event delivered",
		`"http.log.trace"`, `"http.log.error"`, "?filtered", `"level":"debug"`,
	} {
		if !strings.Contains(log, line) {
			t.Errorf("the log has no line with %s, so that the test would miss what it leaks", line)
		}
	}
	for where, contents := range map[string][]string{
		"audit.log":  {`"received"`, `"duplicate"`, `"quarantined"`, `"rejected"`, `"delivered"`, `"dead"`, `"payload_read"`, `"replayed"`, `"purged"`},
		"the events": {eventDeadLetter, eventUpstreamPaused, eventUpstreamResumed, eventRejected, soapnoteID(patient(1))},
		"the spans":  {"site", "scribegate.receive", "scribegate.deliver", "signature_mismatch", "connect_error", soapnoteID(patient(1))},
	} {
		for _, content := range contents {
			if !strings.Contains(string(places[where]), content) {
				t.Errorf("%s: there is no %s, so that the test would miss what it leaks", where, content)
			}
		}
	}
	if len(places["queue.db"]) == 0 {
		t.Error("there is no queue file to look into")
	}
	for where, content := range places {
		for _, leak := range leaks(where, content, planted) {
			t.Error(leak)
		}
	}
	t.Logf("%d planted strings looked for in %d bytes of log and %d other places", len(planted), len(log), len(places)-1)
}

func fetch(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func fileText(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
