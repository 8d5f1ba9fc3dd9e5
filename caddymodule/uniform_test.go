package caddymodule

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/verifier"
)

const uniformBlock = `
	scribegate /soapnote soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		max_body 2MiB
		deliver_to ehr
	}
	scribegate /soniox soniox {
		header X-Webhook-Secret {env.SONIOX_SECRET}
		max_body 2MiB
		deliver_to ehr
	}`

// A stranger learns nothing from a 401: to the byte, it is the same answer on a
// connection that stays open, whatever the cause, the provider and the size of
// the body.
func TestUnauthorizedIsOneAnswer(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", uniformBlock)

	const sig, ts = verifier.SignatureHeader + ": ", verifier.TimestampHeader + ": "
	now := strconv.FormatInt(time.Now().Unix(), 10)
	at := func(offset time.Duration) string { return strconv.FormatInt(time.Now().Add(offset).Unix(), 10) }
	digits := strings.Repeat("0a", 32)
	causes := []struct {
		name, path string
		fields     []string
	}{
		{"nothing", "/soapnote", nil},
		{"no signature", "/soapnote", []string{ts + now}},
		{"no timestamp", "/soapnote", []string{sig + digits}},
		{"empty signature", "/soapnote", []string{sig, ts + now}},
		{"malformed signature", "/soapnote", []string{sig + "x", ts + now}},
		{"malformed timestamp", "/soapnote", []string{sig + digits, ts + "x"}},
		{"stale", "/soapnote", []string{sig + digits, ts + at(-time.Hour)}},
		{"future", "/soapnote", []string{sig + digits, ts + at(time.Hour)}},
		{"wrong signature", "/soapnote", []string{sig + digits, ts + now}},
		{"signature repeated", "/soapnote", []string{sig + digits, sig + digits, ts + now}},
		{"timestamp repeated", "/soapnote", []string{sig + digits, ts + now, ts + now}},
		{"no value", "/soniox", nil},
		{"wrong value", "/soniox", []string{sonioxHeader + ": x"}},
		{"long wrong value", "/soniox", []string{sonioxHeader + ": " + strings.Repeat("x", 4096)}},
		{"value repeated", "/soniox", []string{sonioxHeader + ": " + testSoniox, sonioxHeader + ": " + testSoniox}},
	}
	bodies := []struct {
		name, send string
		length     int
		fields     []string
	}{
		{"no body", "", 0, nil},
		{"a note", note("uniform"), len(note("uniform")), nil},
		{"300 KiB", strings.Repeat("x", 300<<10), 300 << 10, nil},
		{"1 MiB", strings.Repeat("x", 1<<20), 1 << 20, nil},
		{"2 MiB, all that is allowed", strings.Repeat("x", 2<<20), 2 << 20, nil},
		{"1 MiB in chunks", strings.Repeat(chunk(strings.Repeat("x", 16<<10)), 64) + "0\r\n\r\n", -1, []string{"Transfer-Encoding: chunked"}},
	}
	want := "HTTP/1.1 401 Unauthorized\r\nContent-Length: 24\r\nContent-Type: application/json\r\nServer: Caddy\r\n\r\n" + saysAuth
	for _, body := range bodies {
		for _, cause := range causes {
			w := s.dial()
			go w.write(head(cause.path, body.length, append(cause.fields, body.fields...)...) + body.send)
			raw, _ := w.answer()
			if raw != want {
				t.Errorf("%s, %s: answer %q, want %q", cause.name, body.name, raw, want)
				continue
			}
			// The connection serves the next request.
			payload := note(fmt.Sprintf("after %s %s", cause.name, body.name))
			w.write(soapnoteRequest(payload))
			if _, got := w.answer(); got.status != http.StatusOK {
				t.Errorf("%s, %s: the next request's answer is %d %s", cause.name, body.name, got.status, got.body)
			}
			_ = w.conn.Close()
		}
	}
	t.Logf("%d causes with %d bodies each: %q", len(causes), len(bodies), want)

	// Of a body that is longer than max_body nothing is read that lies beyond,
	// so that the connection ends, again whatever the cause.
	want = strings.Replace(want, "HTTP/1.1 401 Unauthorized\r\n", "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n", 1)
	for _, cause := range causes {
		if cause.name == "wrong signature" {
			continue // known only once the body is there, so that it is 413
		}
		w := s.dial()
		go w.write(head(cause.path, -1, append(cause.fields, "Transfer-Encoding: chunked")...) + strings.Repeat(chunk(strings.Repeat("x", 1<<20)), 3))
		if raw, _ := w.answer(); raw != want {
			t.Errorf("%s, 3 MiB in chunks: answer %q, want %q", cause.name, raw, want)
		}
		_ = w.conn.Close()
	}
}

// The same holds for clients that send the body only after 100 Continue. If they do not get
// that, the answer comes at once: the deadline of the body is longer than the test waits.
func TestAnswersToExpect(t *testing.T) {
	shorten(t, &bodyTimeout, 2*commandtest.WaitTimeout)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", uniformBlock)
	body := note("expect")
	digits := strings.Repeat("0a", 32)
	now := strconv.FormatInt(time.Now().Unix(), 10)
	var first string
	for _, fields := range [][]string{
		nil,
		{verifier.SignatureHeader + ": " + digits},
		{verifier.SignatureHeader + ": " + digits, verifier.TimestampHeader + ": " + now},
		{verifier.SignatureHeader + ": " + digits, verifier.TimestampHeader + ": 1"},
	} {
		w := s.dial()
		w.write(head("/soapnote", len(body), append(fields, "Expect: 100-continue")...))
		resp, err := http.ReadResponse(w.buf, nil)
		if err != nil || resp.StatusCode != http.StatusContinue {
			t.Fatalf("%v: answer %v, %v, want 100 first, whatever is wrong", fields, resp, err)
		}
		w.write(body)
		raw, _ := w.answer()
		if first == "" {
			first = raw
		}
		if raw != first {
			t.Errorf("%v: answer %q, want %q", fields, raw, first)
		}
	}

	t.Run("genuine", func(t *testing.T) {
		w := s.dial()
		w.write(head("/soapnote", len(body), append(soapnoteFields(body), "Expect: 100-continue")...))
		resp, err := http.ReadResponse(w.buf, nil)
		if err != nil || resp.StatusCode != http.StatusContinue {
			t.Fatalf("answer %v, %v, want 100", resp, err)
		}
		w.write(body)
		if _, got := w.answer(); got.status != http.StatusOK {
			t.Errorf("answer %d %s, want 200", got.status, got.body)
		}
	})
	for _, test := range []struct {
		name, request string
		status        int
	}{
		{"too large", head("/soapnote", 3<<20, append(soapnoteFields(""), "Expect: 100-continue")...), 413},
		{"encoded", head("/soapnote", len(body), append(soapnoteFields(body), "Content-Encoding: gzip", "Expect: 100-continue")...), 415},
		{"not POST", strings.Replace(head("/soapnote", len(body), "Expect: 100-continue"), "POST", "PUT", 1), 405},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := s.dial()
			w.write(test.request)
			raw, got := w.answer()
			if got.status != test.status || !strings.Contains(raw, "Connection: close\r\n") || strings.Contains(raw, "100 Continue") {
				t.Errorf("answer %q, want %d before any body is asked for, and the end of the connection", raw, test.status)
			}
		})
	}
}
