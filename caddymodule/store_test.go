package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// loadGated runs both providers in front of a queue with a gate.
func (s *site) loadGated(upstream string, options ...string) {
	s.t.Helper()
	s.load(strings.Join(options, "")+captureLog+strings.Replace(oneUpstream, "QUEUE", gatedQueue+filepath.Join(s.dir, "gated.db")+"\n\t\t}", 1)+upstream+"\n\t}", bothProviders)
}

func TestQueueIsStuck(t *testing.T) {
	shorten(t, &storeTimeout, 250*time.Millisecond)
	s, b := newSite(t), newBackend(t)
	s.loadGated(b.URL)
	release := storeGate.shut(nil)
	defer release()
	for _, test := range []struct {
		provider string
		request  *http.Request
	}{
		{"soapnoteapi", s.soapnote("/soapnote", note("stuck"))},
		{"soniox", s.soniox("/soniox", transcription("stuck"))},
	} {
		t.Run(test.provider, func(t *testing.T) {
			captured.reset()
			before, start := rejections(test.provider, verifier.Unavailable), time.Now()
			got := do(t, test.request)
			if waited := time.Since(start); waited < storeTimeout {
				t.Errorf("refused after %s, want the whole wait of %s", waited, storeTimeout)
			}
			if got.status != http.StatusServiceUnavailable || got.body != saysUnavailable || got.header.Get("Content-Type") != "application/json" {
				t.Errorf("answer %d %v %s", got.status, got.header, got.body)
			}
			if n, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || n < 1 {
				t.Errorf("Retry-After %q, want seconds", got.header.Get("Retry-After"))
			}
			if n := rejections(test.provider, verifier.Unavailable) - before; n != 1 {
				t.Errorf("counted %d times as unavailable, want once", n)
			}
			if lines := captured.with(t, "request rejected"); len(lines) != 1 || lines[0]["reason"] != "unavailable" {
				t.Errorf("log lines %v", lines)
			}
			if lines := captured.with(t, "an event could not be stored"); len(lines) != 1 || lines[0]["event_id"] == nil || lines[0]["error"] == nil {
				t.Errorf("log lines %v, want one that names the event and the error", lines)
			}
		})
	}
	// A refused event leaves no trace by which it would be a duplicate later.
	release()
	again := do(t, s.soapnote("/soapnote", note("stuck")))
	if want := `{"received":true,"id":"` + soapnoteID(note("stuck")) + `"}`; again.status != http.StatusOK || again.body != want {
		t.Errorf("sent again: answer %d %s, want %s", again.status, again.body, want)
	}
	b.wait(t, 1)
}

func TestQueueFails(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.loadGated(b.URL)
	release := storeGate.shut(errors.New("no space left on device"))
	defer release()
	before := rejections("soapnoteapi", verifier.Unavailable)
	got := do(t, s.soapnote("/soapnote", note("fails")))
	expect(t, got, http.StatusServiceUnavailable, saysUnavailable, verifier.Unavailable, before)
	if got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	release()
	if got := do(t, s.soapnote("/soapnote", note("fails"))); got.status != http.StatusOK {
		t.Errorf("sent again: answer %d %s", got.status, got.body)
	}
}

// A queue that comes back within the time takes the event, although the body's
// deadline has passed meanwhile: with Caddy's own deadlines for bodies, which end
// with the body, and without.
func TestQueueRecovers(t *testing.T) {
	t.Run("with Caddy's", func(t *testing.T) { testQueueRecovers(t) })
	t.Run("without", func(t *testing.T) { testQueueRecovers(t, noIdleTimeout) })
}

// noIdleTimeout switches Caddy's own deadlines for bodies off.
const noIdleTimeout = "\tservers {\n\t\ttimeouts {\n\t\t\tread_body_idle -1s\n\t\t}\n\t}\n"

func testQueueRecovers(t *testing.T, options ...string) {
	t.Helper()
	shorten(t, &bodyTimeout, 150*time.Millisecond)
	s, b := newSite(t), newBackend(t)
	s.loadGated(b.URL, options...)
	for _, length := range []string{"declared", "chunked", "expected"} {
		t.Run(length, func(t *testing.T) {
			release := storeGate.shut(nil)
			defer release()
			body := note("recovers " + length)
			w := s.dial()
			switch length {
			case "declared":
				w.write(soapnoteRequest(body))
			case "chunked":
				w.write(head("/soapnote", -1, append(soapnoteFields(body), "Transfer-Encoding: chunked")...) + chunk(body) + "0\r\n\r\n")
			case "expected":
				w.write(head("/soapnote", len(body), append(soapnoteFields(body), "Expect: 100-continue")...) + body)
			}
			<-storeGate.reached
			time.Sleep(2 * bodyTimeout) // that time goes by is what is tested
			release()
			_, got := w.answer()
			if got.status != http.StatusOK || got.id(t) != soapnoteID(body) {
				t.Errorf("answer %d %s, want 200", got.status, got.body)
			}
			// And the connection is as good as before.
			w.write(soapnoteRequest(note("behind " + length)))
			if _, got := w.answer(); got.status != http.StatusOK {
				t.Errorf("the next answer is %d %s", got.status, got.body)
			}
		})
	}
	b.wait(t, 6)
}

// A client that goes while its event is being stored loses nothing.
func TestClientGoesWhileStoring(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	s.loadGated(b.URL)
	for _, how := range []string{"it closes the connection", "it resets the connection", "it gives up"} {
		t.Run(how, func(t *testing.T) {
			release := storeGate.shut(nil)
			defer release()
			body := note(how)
			had := len(b.deliveries())
			if how == "it gives up" {
				ctx, cancel := context.WithCancel(t.Context())
				go func() {
					<-storeGate.reached
					cancel()
				}()
				if resp, err := http.DefaultClient.Do(s.soapnote("/soapnote", body).WithContext(ctx)); err == nil {
					resp.Body.Close()
					t.Error("an answer came although the queue is stuck")
				}
			} else {
				w := s.dial()
				w.write(soapnoteRequest(body))
				<-storeGate.reached
				if how == "it resets the connection" {
					_ = w.conn.SetLinger(0)
				}
				_ = w.conn.Close()
			}
			release()
			got := b.wait(t, had+1)
			if id := got[had].header.Get("Webhook-Id"); id != soapnoteID(body) {
				t.Errorf("delivered %s, want %s", id, soapnoteID(body))
			}
		})
	}
}
