package caddymodule

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/verifier"
)

// shorten makes one of the time limits of handlers shorter for a test. It must be
// called before the site is made, so that it ends behind it.
func shorten(t *testing.T, limit *time.Duration, to time.Duration) {
	t.Helper()
	was := *limit
	*limit = to
	t.Cleanup(func() { *limit = was })
}

// shrink gives bodies that are not proved genuine another budget for a test.
func shrink(t *testing.T, sizes [receive.Parts]int64) *receive.Budget {
	t.Helper()
	was, small := receive.Unverified, receive.NewBudget(sizes)
	receive.Unverified = small
	t.Cleanup(func() { receive.Unverified = was })
	return small
}

// expect checks an answer and how often its reason was counted since before.
func expect(t *testing.T, got reply, status int, body string, reason verifier.Reason, before int) {
	t.Helper()
	if got.status != status || got.body != body || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("answer %d %v %s, want %d %s", got.status, got.header, got.body, status, body)
	}
	if n := rejections("soapnoteapi", reason) - before; n != 1 {
		t.Errorf("counted %d times as %s, want once", n, reason)
	}
}

func TestBodyDoesNotArriveWhole(t *testing.T) {
	shorten(t, &bodyTimeout, 300*time.Millisecond)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", bothProviders)
	body := note("slow")
	half := len(body) / 2

	for _, test := range []struct {
		name string
		send func(w *wire)
	}{
		{"nothing of it comes", func(w *wire) {
			w.write(head("/soapnote", len(body), soapnoteFields(body)...))
		}},
		{"half of it comes", func(w *wire) {
			w.write(soapnoteRequest(body)[:len(soapnoteRequest(body))-half])
		}},
		{"half of it comes, in chunks", func(w *wire) {
			w.write(head("/soapnote", -1, append(soapnoteFields(body), "Transfer-Encoding: chunked")...) + chunk(body[:half]))
		}},
		{"all of it comes and the end does not, in chunks", func(w *wire) {
			w.write(head("/soapnote", -1, append(soapnoteFields(body), "Transfer-Encoding: chunked")...) + chunk(body))
		}},
		{"the client ends it in the middle", func(w *wire) {
			w.write(head("/soapnote", len(body), soapnoteFields(body)...) + body[:half])
			_ = w.conn.CloseWrite()
		}},
		{"the client ends it between chunks", func(w *wire) {
			w.write(head("/soapnote", -1, append(soapnoteFields(body), "Transfer-Encoding: chunked")...) + chunk(body))
			_ = w.conn.CloseWrite()
		}},
		{"a chunk's size is not a number", func(w *wire) {
			w.write(head("/soapnote", -1, append(soapnoteFields(body), "Transfer-Encoding: chunked")...) + "x\r\n" + body)
		}},
		{"the client expects 100 Continue and sends nothing", func(w *wire) {
			w.write(head("/soapnote", len(body), append(soapnoteFields(body), "Expect: 100-continue")...))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := rejections("soapnoteapi", verifier.Incomplete)
			w := s.dial()
			test.send(w)
			_, got := w.answer()
			expect(t, got, http.StatusRequestTimeout, saysTimeout, verifier.Incomplete, before)
			w.ended()
		})
	}

	// Each byte comes in time for a timeout that begins anew, and the whole
	// does not.
	t.Run("it trickles", func(t *testing.T) {
		before := rejections("soapnoteapi", verifier.Incomplete)
		w := s.dial()
		w.write(head("/soapnote", len(body), soapnoteFields(body)...))
		answered := make(chan struct{})
		go func() {
			for i := range body {
				select {
				case <-answered:
					return
				case <-time.After(20 * time.Millisecond):
					w.write(body[i : i+1])
				}
			}
		}()
		_, got := w.answer()
		close(answered)
		expect(t, got, http.StatusRequestTimeout, saysTimeout, verifier.Incomplete, before)
	})
	// A body that comes whole within the time is taken, however slowly.
	t.Run("it comes in pieces", func(t *testing.T) {
		w := s.dial()
		w.write(head("/soapnote", len(body), soapnoteFields(body)...))
		for i := range 5 {
			w.write(body[i*len(body)/5 : (i+1)*len(body)/5])
		}
		if _, got := w.answer(); got.status != http.StatusOK {
			t.Errorf("answer %d %s", got.status, got.body)
		}
	})
	// A request that is refused for its header does not wait for ever for a
	// body either.
	t.Run("the header is wrong and nothing comes", func(t *testing.T) {
		before := rejections("soapnoteapi", verifier.SignatureMissing)
		w := s.dial()
		w.write(head("/soapnote", len(body)))
		_, got := w.answer()
		expect(t, got, http.StatusUnauthorized, saysAuth, verifier.SignatureMissing, before)
	})
	if all, _ := stored(t); all != 1 {
		t.Errorf("%d events are stored, want the one that came whole", all)
	}
}

// The deadline is a body's and not the connection's: the next request on it may
// come later.
func TestConnectionOutlivesTheBodysDeadline(t *testing.T) {
	shorten(t, &bodyTimeout, 150*time.Millisecond)
	s, b := newSite(t), newBackend(t)
	s.load(oneUpstream+b.URL+"\n\t}", bothProviders)
	for _, test := range []struct {
		name, first string
		status      int
	}{
		{"behind a 200", soapnoteRequest(note("first")), 200},
		{"behind a 401", head("/soapnote", 2) + "{}", 401},
		{"behind a 400", soapnoteRequest("{}"), 400},
		{"behind a 405", strings.Replace(head("/soapnote", -1), "POST", "GET", 1), 405},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := s.dial()
			w.write(test.first)
			if _, got := w.answer(); got.status != test.status {
				t.Fatalf("first answer %d %s, want %d", got.status, got.body, test.status)
			}
			time.Sleep(2 * bodyTimeout) // that time goes by is what is tested
			w.write(soapnoteRequest(note("behind " + test.name)))
			if _, got := w.answer(); got.status != http.StatusOK {
				t.Errorf("second answer %d %s", got.status, got.body)
			}
		})
	}
}
