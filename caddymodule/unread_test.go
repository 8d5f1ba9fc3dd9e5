package caddymodule

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
)

// eitherDuplex runs a test with Caddy's enable_full_duplex and without it.
func eitherDuplex(t *testing.T, run func(t *testing.T, duplex, servers string)) {
	t.Helper()
	for duplex, servers := range map[string]string{"half duplex": "", "full duplex": "\tservers {\n\t\tenable_full_duplex\n\t}\n"} {
		t.Run(duplex, func(t *testing.T) { run(t, duplex, servers) })
	}
}

// silent checks that nothing more comes on a connection until the server closes
// it, orderly or not.
func (w *wire) silent() {
	w.t.Helper()
	if more, _ := io.ReadAll(w.buf); len(more) > 0 {
		w.t.Errorf("a second answer: %q", more)
	}
}

const unreadBlock = `
	scribegate /soapnote soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		max_body 1MiB
		deliver_to ehr
	}`

// A body that is left unread holds a genuine request: it must not be answered,
// and its event not stored. Go's server reads 256 KiB of a body by itself.
func TestUnreadBodyIsNoRequest(t *testing.T) {
	eitherDuplex(t, func(t *testing.T, duplex, servers string) {
		shorten(t, &bodyTimeout, 500*time.Millisecond)
		shorten(t, &drainTimeout, 100*time.Millisecond)
		s, b := newSite(t), newBackend(t)
		s.load(servers+oneUpstream+b.URL+"\n\t}", unreadBlock)
		smuggled := soapnoteRequest(note("smuggled"))
		fresh := soapnoteFields("another body")
		put := func(head string) string { return strings.Replace(head, "POST", "PUT", 1) }
		const chunks = "Transfer-Encoding: chunked"
		same := func(head string) string { return head }

		for _, test := range []struct {
			name    string
			change  func(head string) string
			fields  []string
			declare func(length int) int // what Content-Length says of the body
			encode  func(body string) string
			status  int
		}{
			{"405", put, nil, nil, nil, http.StatusMethodNotAllowed},
			{"405, chunked", put, []string{chunks}, nil, chunk, http.StatusMethodNotAllowed},
			{"415", same, []string{"Content-Encoding: gzip"}, nil, nil, http.StatusUnsupportedMediaType},
			{"415, chunked", same, []string{"Content-Encoding: gzip", chunks}, nil, chunk, http.StatusUnsupportedMediaType},
			{"413", same, fresh, func(int) int { return 2 << 20 }, nil, http.StatusRequestEntityTooLarge},
			{"413, chunked", same, append(fresh, chunks), nil, func(body string) string {
				return chunk(strings.Repeat("x", 1<<20+1)) + chunk(body)
			}, http.StatusRequestEntityTooLarge},
			{"401, chunked and too large", same, []string{chunks}, nil, func(body string) string {
				return chunk(strings.Repeat("x", 1<<20+1)) + chunk(body)
			}, http.StatusUnauthorized},
			{"401, the rest does not come in time", same, nil, func(length int) int { return length + 1 }, nil, http.StatusUnauthorized},
			{"401, a chunk's size is not a number", same, []string{chunks}, nil, func(body string) string { return "x\r\n" + body }, http.StatusUnauthorized},
			{"408", same, fresh, func(length int) int { return length + 1 }, nil, http.StatusRequestTimeout},
			{"408, a chunk's size is not a number", same, append(fresh, chunks), nil, func(body string) string { return "x\r\n" + body }, http.StatusRequestTimeout},
			{"408, a trailer is none", same, append(fresh, chunks), nil, func(body string) string {
				return "0\r\nno trailer\r\n\r\n" + body
			}, http.StatusRequestTimeout},
		} {
			for where, before := range map[string]int{"at the start": 0, "behind 256 KiB": 256 << 10} {
				t.Run(test.name+", "+where, func(t *testing.T) {
					body, length := strings.Repeat("x", before)+smuggled, before+len(smuggled)
					switch {
					case test.encode != nil:
						body, length = test.encode(body), -1
					case test.declare != nil:
						length = test.declare(length)
					}
					w := s.dial()
					go w.write(test.change(head("/soapnote", length, test.fields...)) + body)
					raw, got := w.answer()
					t.Logf("%s | unread: %-50s | %d %s and the connection ends", duplex, test.name+", "+where, got.status, got.body)
					if got.status != test.status || !strings.Contains(raw, "Connection: close\r\n") {
						t.Errorf("answer %q, want %d and the connection's end", raw, test.status)
					}
					w.silent()
				})
			}
		}
		nothing := func(t *testing.T) {
			t.Helper()
			if all, _ := stored(t); all != 0 {
				t.Errorf("%d events are stored, want none", all)
			}
		}
		nothing(t)
		t.Run("503, no room", func(t *testing.T) {
			shorten(t, &storeTimeout, 100*time.Millisecond)
			shrink(t, [receive.Parts]int64{})
			// On a port of its own: Caddy resets connections that come to a port while it is reloaded.
			s := newSite(t)
			s.load(servers+oneUpstream+b.URL+"\n\t}", unreadBlock) // with these limits
			w := s.dial()
			w.write(head("/soapnote", len(smuggled), fresh...) + smuggled)
			raw, got := w.answer()
			t.Logf("%s | unread: %-50s | %d %s and the connection ends", duplex, "503, no room", got.status, got.body)
			if got.status != http.StatusServiceUnavailable || !strings.Contains(raw, "Connection: close\r\n") {
				t.Errorf("answer %q", raw)
			}
			w.silent()
			nothing(t)
		})
	})
}

// A site may take away the header that closes the connection.
func TestUnreadBodyIsNoRequestWithoutConnectionHeader(t *testing.T) {
	for name, operation := range map[string]string{"deleted": "-Connection", "replaced": "Connection keep-alive"} {
		t.Run(name, func(t *testing.T) {
			eitherDuplex(t, func(t *testing.T, _, servers string) {
				shorten(t, &drainTimeout, 100*time.Millisecond)
				s, b := newSite(t), newBackend(t)
				s.load(servers+oneUpstream+b.URL+"\n\t}", "header {\n\t\t"+operation+"\n\t\tdefer\n\t}"+unreadBlock)
				smuggled := soapnoteRequest(note("smuggled"))
				before := 512 << 10
				w := s.dial()
				go w.write(strings.Replace(head("/soapnote", before+len(smuggled)+1), "POST", "PUT", 1) +
					strings.Repeat("x", before) + smuggled)
				if raw, got := w.answer(); got.status != http.StatusMethodNotAllowed {
					t.Fatalf("answer %q", raw)
				}
				w.silent()
				if all, _ := stored(t); all != 0 {
					t.Errorf("%d events are stored, want none", all)
				}
			})
		})
	}
}

// What follows a body that was read to its end is the next request, whatever
// the first one was answered.
func TestReadBodyKeepsTheConnection(t *testing.T) {
	eitherDuplex(t, func(t *testing.T, duplex, servers string) {
		s, b := newSite(t), newBackend(t)
		s.load(servers+oneUpstream+b.URL+"\n\t}", unreadBlock)
		inChunks := func(body, trailer string) string {
			fields := append(soapnoteFields(body), "Transfer-Encoding: chunked")
			return head("/soapnote", -1, fields...) + chunk(body[:10]) + chunk(body[10:]) + "0\r\n" + trailer + "\r\n"
		}
		requests := []struct {
			name, request string
			status        int
		}{
			{"stored", soapnoteRequest(note("one")), 200},
			{"stored, chunked", inChunks(note("two"), ""), 200},
			{"stored, chunked with a trailer", inChunks(note("three"), "Expires: never\r\n"), 200},
			{"stored, large", soapnoteRequest(padded(note("four"), 1<<20)), 200},
			{"a duplicate", soapnoteRequest(note("one")), 200},
			{"no header", head("/soapnote", 400<<10) + strings.Repeat("x", 400<<10), 401},
			{"no header, chunked", head("/soapnote", -1, "Transfer-Encoding: chunked") + chunk(strings.Repeat("x", 1<<20)) + "0\r\n\r\n", 401},
			{"wrong signature", head("/soapnote", 1<<20, soapnoteFields("x")...) + strings.Repeat("x", 1<<20), 401},
			{"invalid", soapnoteRequest("{}"), 400},
			{"not POST and no body", strings.Replace(head("/soapnote", -1), "POST", "GET", 1), 405},
			{"empty", head("/soapnote", 0), 401},
			{"stored at the end", soapnoteRequest(note("five")), 200},
		}
		w := s.dial()
		var all strings.Builder
		for _, r := range requests {
			all.WriteString(r.request)
		}
		go w.write(all.String())
		for _, r := range requests {
			raw, got := w.answer()
			t.Logf("%s | read: %-52s | %d %s", duplex, r.name, got.status, got.body)
			if got.status != r.status || strings.Contains(raw, "Connection: close\r\n") {
				t.Fatalf("%s: answer %q, want %d and no end of the connection", r.name, raw, r.status)
			}
		}
	})
}

// A checkpoint has read the body before it passes the request on, whatever the
// next handler does then: nothing of it is the next request.
func TestCheckpointLeavesNothingUnread(t *testing.T) {
	const checkpoint = `
	scribegate /soapnote soapnoteapi {
		secret {env.SOAPNOTE_SECRET}
		max_body 1MiB
	}
	`
	for name, next := range map[string]string{
		"an answer":           "respond passed 201",
		"an error":            "error failed 201",
		"an error, handled":   "error failed 500\n\thandle_errors {\n\t\trespond handled 201\n\t}",
		"no backend, handled": "reverse_proxy 127.0.0.1:1\n\thandle_errors {\n\t\trespond handled 201\n\t}",
	} {
		t.Run(name, func(t *testing.T) {
			eitherDuplex(t, func(t *testing.T, _, servers string) {
				shorten(t, &drainTimeout, 100*time.Millisecond)
				s := newSite(t)
				s.load(servers, checkpoint+next)
				w := s.dial()
				body := padded(note("passed"), 512<<10)
				chunked := head("/soapnote", -1, append(soapnoteFields(body), "Transfer-Encoding: chunked")...) + chunk(body) + "0\r\n\r\n"
				go w.write(soapnoteRequest(body) + chunked + soapnoteRequest(body) +
					head("/soapnote", 2<<20, soapnoteFields("x")...) + soapnoteRequest(body))
				for i, status := range []int{201, 201, 201, 413} {
					if raw, got := w.answer(); got.status != status {
						t.Fatalf("answer %d is %q, want %d", i, raw, status)
					}
				}
				w.silent()
			})
		})
	}
}
