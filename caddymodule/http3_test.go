package caddymodule

import (
	"bytes"
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/quic-go/quic-go/http3"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
	"github.com/scribegate/scribegate/verifier"
)

// loadH3 runs a site that speaks HTTP/3, and returns a client that speaks
// nothing else.
func (s *site) loadH3(upstream, block string) func(r *http.Request) (*http.Response, error) {
	s.t.Helper()
	config := s.caddyfile("\tskip_install_trust\n\tauto_https disable_redirects\n"+oneUpstream+upstream+"\n\t}", "tls internal\n"+block)
	s.url = "https://127.0.0.1:" + s.port
	if err := s.run(strings.Replace(config, "http://127.0.0.1:"+s.port, s.url, 1)); err != nil {
		s.t.Fatal(err)
	}
	trusting := &tls.Config{InsecureSkipVerify: true}
	eventually(s.t, "a certificate", func() bool {
		conn, err := tls.Dial("tcp", "127.0.0.1:"+s.port, trusting)
		return err == nil && conn.Close() == nil
	})
	transport := &http3.Transport{TLSClientConfig: trusting}
	s.t.Cleanup(func() { _ = transport.Close() })
	return transport.RoundTrip
}

// An HTTP/3 server does not see by itself that a body ends before its declared
// length.
func TestBodyIsNotAsDeclaredOverHTTP3(t *testing.T) {
	s, b := newSite(t), newBackend(t)
	send := s.loadH3(b.URL, bothProviders)
	body := note("http3")
	for _, test := range []struct {
		name     string
		path     string
		declared int64
		status   int
	}{
		{"as declared", "/soapnote", int64(len(body)), http.StatusOK},
		{"not declared", "/soapnote", -1, http.StatusOK},
		{"5 bytes short", "/soapnote", int64(len(body)) + 5, http.StatusRequestTimeout},
		{"a large body short", "/soapnote", 1 << 20, http.StatusRequestTimeout},
		{"short, for Soniox", "/soniox", int64(len(body)) + 1, http.StatusRequestTimeout},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := s.soapnote(test.path, body)
			r.Header.Set(sonioxHeader, testSoniox)
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), test.declared
			resp, err := send(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			answer, err := io.ReadAll(resp.Body)
			if err != nil || resp.ProtoMajor != 3 {
				t.Fatalf("%s, %v", resp.Proto, err)
			}
			t.Logf("HTTP/3      | body %-53s | %d %s", test.name, resp.StatusCode, answer)
			if resp.StatusCode != test.status || test.status == http.StatusRequestTimeout && string(answer) != saysTimeout {
				t.Errorf("answer %d %s, want %d", resp.StatusCode, answer, test.status)
			}
		})
	}
	if all, _ := stored(t); all != 1 {
		t.Errorf("%d events are stored, want the one whose body was whole", all)
	}
}

// Whatever the server's HTTP version takes, a body is as long as it says.
func TestBodyIsNotAsDeclared(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("x", 100_000)
	for _, test := range []struct {
		name     string
		declared int64
		reason   verifier.Reason
	}{
		{"as declared", 100_000, ""},
		{"not declared", -1, ""},
		{"a byte short", 100_001, verifier.Incomplete},
		{"half of it", 200_000, verifier.Incomplete},
		{"a byte more", 99_999, verifier.Incomplete},
		{"much more", 10, verifier.Incomplete},
		{"none was declared", 0, verifier.Incomplete},
		{"not declared and too large", -2, verifier.TooLarge},
	} {
		for major, proto := range map[int]string{2: "HTTP/2.0", 3: "HTTP/3.0"} {
			for kind, reader := range map[string]func(io.Reader) io.Reader{
				"plain": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "end with data": iotest.DataErrReader,
			} {
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", reader(bytes.NewReader([]byte(body))))
				if err != nil {
					t.Fatal(err)
				}
				r.Proto, r.ProtoMajor, r.ContentLength = proto, major, max(test.declared, -1)
				most := int64(200_000)
				if test.declared < -1 {
					most = 99_999
				}
				incoming := receive.NewBody(r, receive.Unverified)
				got, err := incoming.ReadAll(time.Now().Add(storeTimeout), most)
				incoming.Release()
				if reason := rejectedFor(err); reason != test.reason || err == nil && string(got) != body {
					t.Errorf("%s, %s, %s: %d bytes, rejected for %q, want %q", test.name, proto, kind, len(got), reason, test.reason)
				}
			}
		}
	}
}

// rejectedFor returns the reason of a rejection, or nothing.
func rejectedFor(err error) verifier.Reason {
	if err == nil {
		return ""
	}
	return receive.AnswerTo(err).Reason
}
