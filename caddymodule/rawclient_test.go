package caddymodule

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/verifier"
)

// A wire is one TCP connection to a site, on which a test writes what it likes
// and sees every byte that comes back.
type wire struct {
	t    *testing.T
	conn *net.TCPConn
	seen bytes.Buffer // what has come since the last answer
	buf  *bufio.Reader
}

func (s *site) dial() *wire {
	s.t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.port)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(commandtest.WaitTimeout)); err != nil {
		s.t.Fatal(err)
	}
	w := &wire{t: s.t, conn: conn.(*net.TCPConn)}
	w.buf = bufio.NewReader(io.TeeReader(conn, &w.seen))
	return w
}

// write sends bytes as they are. A server that has answered already may have
// closed the connection, so an error is not the test's.
func (w *wire) write(s string) { _, _ = io.WriteString(w.conn, s) }

var dateLine = regexp.MustCompile(`(?m)^Date: .*\r\n`)

// Answer reads the next final answer, and returns its bytes without the date,
// beside those of interim answers before it.
func (w *wire) answer() (raw string, got reply) {
	w.t.Helper()
	for {
		resp, err := http.ReadResponse(w.buf, nil)
		if err != nil {
			w.t.Fatalf("reading an answer: %v; so far: %q", err, w.seen.String())
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			w.t.Fatalf("reading an answer's body: %v", err)
		}
		if resp.StatusCode < 200 {
			continue
		}
		raw = dateLine.ReplaceAllString(w.seen.String(), "")
		w.seen.Reset()
		return raw, reply{resp.StatusCode, resp.Header, string(body)}
	}
}

// ended waits until the server has closed the connection.
func (w *wire) ended() {
	w.t.Helper()
	if n, err := io.Copy(io.Discard, w.buf); err != nil || n > 0 {
		w.t.Errorf("the connection brought %d bytes more and %v, want its end", n, err)
	}
}

// head is a request's head, with a length unless it is below zero.
func head(path string, length int, fields ...string) string {
	var b strings.Builder
	b.WriteString("POST " + path + " HTTP/1.1\r\nHost: 127.0.0.1\r\n")
	if length >= 0 {
		b.WriteString("Content-Length: " + strconv.Itoa(length) + "\r\n")
	}
	for _, f := range fields {
		b.WriteString(f + "\r\n")
	}
	return b.String() + "\r\n"
}

// soapnoteFields are the headers that prove a body now.
func soapnoteFields(body string) []string {
	timestamp := strconv.FormatInt(time.Now().Unix(), 10)
	return []string{
		verifier.TimestampHeader + ": " + timestamp,
		verifier.SignatureHeader + ": " + verifier.Sign(testSecret, timestamp, []byte(body)),
	}
}

// soapnoteRequest is a genuine request, whole.
func soapnoteRequest(body string) string {
	return head("/soapnote", len(body), soapnoteFields(body)...) + body
}

// chunk is a part of a chunked body.
func chunk(s string) string { return strconv.FormatInt(int64(len(s)), 16) + "\r\n" + s + "\r\n" }
