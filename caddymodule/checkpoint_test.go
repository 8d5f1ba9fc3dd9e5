package caddymodule

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/scribegate/scribegate/verifier/event/eventtest"
)

// checkpoint is a handler without deliver_to in front of a plain reverse_proxy.
func checkpoint(path, format string, b *backend) string {
	return `
	handle ` + path + ` {
		scribegate soapnoteapi {
			secret {env.SOAPNOTE_SECRET}
			` + format + `
		}
		reverse_proxy ` + b.address() + ` {
			header_up X-Sees-Id {http.request.header.Webhook-Id}
			header_up X-Sees-Cookie "cookie:{http.request.header.Cookie}"
		}
	}`
}

// fromProxy are the headers that reverse_proxy and its transport add.
var fromProxy = []string{"Accept-Encoding", "Content-Length", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Sees-Cookie", "X-Sees-Id"}

// ofDelivery are the headers that every delivery has.
var ofDelivery = []string{"Content-Type", "Scribegate-Attempt", "User-Agent", "Webhook-Id", "Webhook-Timestamp"}

// inbound are headers that a provider, or a sender that imitates it, may send.
var inbound = map[string]string{
	"Accept":             "text/html",
	"Accept-Language":    "de",
	"Authorization":      "Bearer inbound-value",
	"Ce-Id":              "inbound-value",
	"Ce-Forged":          "inbound-value",
	"Content-Encoding":   "identity",
	"Content-Type":       "application/json; charset=inbound-value",
	"Cookie":             "session=inbound-value",
	"Forwarded":          "for=inbound-value",
	"Proxy-Connection":   "keep-alive",
	"Referer":            "https://inbound-value/",
	"Scribegate-Attempt": "99",
	"Traceparent":        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	"User-Agent":         "inbound-value",
	"Webhook-Id":         "inbound-value",
	"Webhook-Signature":  "v1,inbound-value",
	"Webhook-Timestamp":  "1",
	"X-Api-Key":          "inbound-value",
	"X-Forwarded-For":    "192.0.2.1, inbound-value",
	"X-Forwarded-Host":   "inbound-value",
	"X-Real-Ip":          "inbound-value",
	"X-Request-Id":       "inbound-value",
}

func withInbound(r *http.Request) *http.Request {
	for name, value := range inbound {
		r.Header.Set(name, value)
	}
	return r
}

func TestCheckpointFormats(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	b.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Backend", "its own")
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "the backend's answer")
	})
	s.load("\tscribegate {\n\t\tQUEUE\n\t\tsigning_secret {env.SIGNING_SECRET}\n\t}",
		checkpoint("/default/*", "", b)+checkpoint("/structured/*", "format structured", b)+checkpoint("/binary/*", "format binary", b)+checkpoint("/raw/*", "format raw", b))

	body := note("checkpoint")
	id := soapnoteID(body)
	wh, err := standardwebhooks.NewWebhook(testSigning)
	if err != nil {
		t.Fatal(err)
	}
	for i, format := range []string{"default", "structured", "binary", "raw"} {
		for j, change := range []change{func(*http.Request) {}, chunked} {
			t.Run(format+[]string{"", ", chunked"}[j], func(t *testing.T) {
				uri := "/" + format + "/a%2Fb//c?user_id=7&order=%20x&user_id=8&flag"
				r := withInbound(s.soapnote(uri, body))
				change(r)
				answer := do(t, r)
				if answer.status != http.StatusTeapot || answer.body != "the backend's answer" || answer.header.Get("X-Backend") != "its own" {
					t.Errorf("answer %d %v %s, want the backend's", answer.status, answer.header, answer.body)
				}
				got := b.wait(t, 2*i+j+1)[2*i+j]
				if got.uri != uri || got.host != "127.0.0.1:"+s.port {
					t.Errorf("the backend got %s for %s, want %s for %s", got.uri, got.host, uri, "127.0.0.1:"+s.port)
				}
				if format == "raw" {
					checkRaw(t, got, body)
					return
				}
				if got.header.Get("X-Sees-Id") != id || got.header.Get("X-Sees-Cookie") != "cookie:" {
					t.Errorf("placeholders see the id %q and %q", got.header.Get("X-Sees-Id"), got.header.Get("X-Sees-Cookie"))
				}
				if err := wh.Verify(got.body, got.header); err != nil {
					t.Errorf("the signature does not verify: %v", err)
				}
				if format == "binary" {
					checkBinary(t, got, id, body)
				} else {
					checkStructured(t, got, id, body)
				}
			})
		}
	}
	if _, err := os.Stat(filepath.Join(s.dir, "queue.db")); !os.IsNotExist(err) {
		t.Errorf("a configuration without upstreams has opened a queue: %v", err)
	}
}

// Without an app there are no signing keys. Nothing is stored, so the same event is passed on each
// time, test events like all others.
func TestCheckpointAlone(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.load("", checkpoint("/soapnote", "", b)+`
	handle /soniox {
		scribegate soniox {
			header X-Webhook-Secret {env.SONIOX_SECRET}
			format raw
		}
		reverse_proxy `+b.address()+`
	}`)
	bodies := []string{note("alone"), note("alone"), `{"event":"test","note_id":"test_1","status":"test","created_at":"2026-03-18T15:30:00.000Z"}`}
	for i, body := range bodies {
		if got := do(t, s.soapnote("/soapnote", body)); got.status != http.StatusNoContent {
			t.Errorf("answer %d %s, want the backend's", got.status, got.body)
		}
		d := b.wait(t, i+1)[i]
		eventtest.Validate(t, d.body)
		checkHeaders(t, d, fromProxy, ofDelivery)
		if d.header.Get("Webhook-Id") != soapnoteID(body) {
			t.Errorf("webhook-id %s, want %s", d.header.Get("Webhook-Id"), soapnoteID(body))
		}
	}
	if got := do(t, s.soniox("/soniox?user_id=7", transcription("raw"))); got.status != http.StatusNoContent {
		t.Errorf("soniox: answer %d %s", got.status, got.body)
	}
	d := b.wait(t, 4)[3]
	if d.header.Get(sonioxHeader) != testSoniox || string(d.body) != transcription("raw") || d.uri != "/soniox?user_id=7" {
		t.Errorf("soniox, raw: %s %v %s", d.uri, d.header, d.body)
	}
}

// A forged or invalid request is not passed on, and the user's error pages do not replace the
// answer.
func TestCheckpointRejects(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	const errorPages = `
	handle_errors {
		respond "the user's own page" 200
	}`
	s.load("", checkpoint("/soapnote/*", "max_body 64KiB", b)+checkpoint("/raw/*", "max_body 64KiB\n\t\t\tformat raw", b)+errorPages)
	for _, path := range []string{"/soapnote/x", "/raw/x"} {
		for _, row := range soapnoteExchanges() {
			if row.reason == "" || strings.Contains(row.name, "61 s old") || strings.Contains(row.name, "65 s ahead") {
				continue // the tolerance is the default here
			}
			t.Run(path+"/"+row.name, func(t *testing.T) {
				r := s.soapnote(path, row.body)
				for _, c := range row.changes {
					c(r)
				}
				if got := do(t, r); got.status != row.status || got.body != row.answer {
					t.Errorf("answer %d %s, want %d %s", got.status, got.body, row.status, row.answer)
				}
			})
		}
	}
	if got := b.deliveries(); len(got) > 0 {
		t.Errorf("the backend got %d rejected requests, the first %s", len(got), got[0].body)
	}
	// The pages are for the handlers behind the checkpoint.
	b.Close()
	if got := do(t, s.soapnote("/soapnote/x", note("unreachable"))); got.body != "the user's own page" {
		t.Errorf("an unreachable backend: answer %d %s", got.status, got.body)
	}
}

// A handler before the proxy can read the body, and the proxy can read it again.
func TestCheckpointBodyIsWhole(t *testing.T) {
	s := newSite(t)
	s.load("", `
	handle {
		scribegate soapnoteapi {
			secret {env.SOAPNOTE_SECRET}
			format binary
		}
		respond "{http.request.body}"
	}`)
	got := do(t, s.soapnote("/", note("echo")))
	if !json.Valid([]byte(got.body)) || !bytes.Contains([]byte(got.body), []byte(`"id":"echo"`)) {
		t.Errorf("answer %d %s, want the event's data", got.status, got.body)
	}
}

// The deadline applies to the body and not to the next handler: a backend may be slow, with
// Caddy's own deadlines for bodies and without.
func TestCheckpointBackendIsSlow(t *testing.T) {
	for name, options := range map[string]string{"with Caddy's": "", "without": noIdleTimeout} {
		t.Run(name, func(t *testing.T) {
			shorten(t, &bodyTimeout, 150*time.Millisecond)
			s, b := newSite(t), newBackend(t)
			b.respond(func(w http.ResponseWriter, r *http.Request) {
				select {
				case <-r.Context().Done(): // the gateway has cancelled the request
				case <-time.After(2 * bodyTimeout):
					w.WriteHeader(http.StatusNoContent)
				}
			})
			s.load(options, checkpoint("/soapnote", "", b))
			if got := do(t, s.soapnote("/soapnote", note("slow backend"))); got.status != http.StatusNoContent {
				t.Errorf("answer %d %s, want the backend's", got.status, got.body)
			}
		})
	}
}
