package forwarder

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a test waits for what must happen before it fails.
const patience = 10 * time.Second

func newSender(t *testing.T, rawURL string, concurrency int) *URLSender {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	s := NewURLSender(u, concurrency)
	t.Cleanup(s.Close)
	return s
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

func sampleMessage() *Message {
	return Render(sampleEvent(sampleID), RenderOptions{Format: Raw, Attempt: 1, Now: noon, Version: "1.2.3"})
}

func send(t *testing.T, s *URLSender, m *Message) (Answer, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return s.Send(ctx, m)
}

func mustSend(t *testing.T, s *URLSender, m *Message, status int) {
	t.Helper()
	if a, err := send(t, s, m); err != nil || a.Status != status {
		t.Fatalf("Send = %+v, %v; want status %d", a, err, status)
	}
}

// settle waits until no body is being read any more.
func (s *URLSender) settle(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patience); len(s.draining) > 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("a body is being read for ever")
		}
	}
}

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("waited in vain for " + what)
	}
}

func TestURLSenderCallsTheURLAsWritten(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, suffix, query, want string
	}{
		{"bare", "", "", "/"},
		{"path", "/events", "", "/events"},
		{"escaped path", "/a%2Fb/%7Ec/", "", "/a%2Fb/%7Ec/"},
		{"own query", "/events?key=a%20b&c", "", "/events?key=a%20b&c"},
		{"query behind", "/events", "user_id=1%202&x", "/events?user_id=1%202&x"},
		{"query behind its own", "/events?key=1", "user_id=1%202", "/events?key=1&user_id=1%202"},
		{"fragment", "/events#top", "", "/events"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			uris := make(chan string, 1)
			server := serve(t, func(_ http.ResponseWriter, r *http.Request) { uris <- r.Method + " " + r.Host + r.RequestURI })
			m := sampleMessage()
			m.Query = tt.query
			mustSend(t, newSender(t, server.URL+tt.suffix, 1), m, 200)
			if got, want := <-uris, "POST "+strings.TrimPrefix(server.URL, "http://")+tt.want; got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

func TestURLSenderSendsTheMessageAndNothingElse(t *testing.T) {
	t.Parallel()
	type request struct {
		header http.Header
		body   string
		length int64
	}
	requests := make(chan request, 1)
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- request{r.Header, string(body), r.ContentLength}
	})
	e := sampleEvent(sampleID)
	e.ContentType = ""
	m := Render(e, RenderOptions{Format: Raw, Proof: e.Proof, Attempt: 1, Now: noon, Version: "1.2.3"})
	mustSend(t, newSender(t, server.URL, 1), m, 200)
	got := <-requests
	if got.body != sampleBody || got.length != int64(len(sampleBody)) {
		t.Errorf("body = %q of %d", got.body, got.length)
	}
	names := make(map[string]bool)
	for name := range got.header {
		names[name] = true
	}
	for _, name := range []string{
		"Content-Length", "User-Agent", "Webhook-Id", "Webhook-Timestamp", "Scribegate-Attempt",
		"X-Soapnoteapi-Signature", "X-Soapnoteapi-Timestamp",
	} {
		if !names[name] {
			t.Errorf("%s is missing", name)
		}
		delete(names, name)
	}
	if len(names) > 0 {
		t.Errorf("headers that nobody asked for: %v", names)
	}
}

func TestURLSenderAuthorization(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, userinfo, own, want string
	}{
		{"none", "", "", ""},
		{"of the URL", "us%40er:p%20w@", "", "Basic dXNAZXI6cCB3"},
		{"of the URL, no password", "user@", "", "Basic dXNlcjo="},
		{"of the message", "", "Bearer x", "Bearer x"},
		{"of both", "user:pw@", "Bearer x", "Bearer x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			server := serve(t, func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Authorization") })
			m := sampleMessage()
			if tt.own != "" {
				m.Header.Set("Authorization", tt.own)
			}
			mustSend(t, newSender(t, strings.Replace(server.URL, "://", "://"+tt.userinfo, 1), 1), m, 200)
			if got := <-got; got != tt.want {
				t.Errorf("Authorization = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestURLSenderFollowsNoRedirect(t *testing.T) {
	t.Parallel()
	for _, status := range []int{301, 302, 303, 307, 308} {
		var calls atomic.Int32
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			http.Redirect(w, r, "/elsewhere", status)
		})
		s := newSender(t, server.URL, 1)
		mustSend(t, s, sampleMessage(), status)
		if calls.Load() != 1 {
			t.Errorf("%d: %d calls", status, calls.Load())
		}
	}
}

func TestURLSenderTakesTheFinalStatus(t *testing.T) {
	t.Parallel()
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Retry-After", "17")
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	a, err := send(t, newSender(t, server.URL, 1), sampleMessage())
	if err != nil || a != (Answer{503, "17"}) {
		t.Errorf("Send = %+v, %v", a, err)
	}
}

func TestURLSenderUsesNoProxy(t *testing.T) {
	t.Parallel()
	if newSender(t, "http://backend.example", 1).template.Proxy != nil {
		t.Error("a proxy could be used")
	}
}

// streaming starts a server that answers 200 and then writes for ever, or says
// nothing more, and tells when its handler has ended.
func streaming(t *testing.T, h2, talks bool) (*httptest.Server, <-chan struct{}) {
	t.Helper()
	ended := make(chan struct{}, 10)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		_, _ = io.Copy(io.Discard, r.Body)
		flusher := http.NewResponseController(w)
		_ = flusher.Flush()
		for talks {
			if _, err := w.Write(make([]byte, 4096)); err != nil {
				return
			}
			_ = flusher.Flush()
		}
		<-r.Context().Done()
	}))
	if h2 {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, ended
}

func trust(s *URLSender, server *httptest.Server) {
	if server.TLS != nil {
		s.template.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		s.template.TLSClientConfig.NextProtos = nil
	}
}

// An upstream that answers 200 and then streams for ever, or falls silent, has
// taken the event, and is cut off soon.
func TestURLSenderWhatComesAfterTheStatus(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		h2, talks bool
	}{
		{"streams for ever", false, true},
		{"falls silent", false, false},
		{"streams for ever, HTTP/2", true, true},
		{"falls silent, HTTP/2", true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server, ended := streaming(t, tt.h2, tt.talks)
			s := newSender(t, server.URL, 2)
			trust(s, server)
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			a, err := s.Send(ctx, sampleMessage())
			cancel() // as the dispatcher does: the answer outlives it
			if err != nil || a.Status != 200 {
				t.Fatalf("Send = %+v, %v", a, err)
			}
			s.settle(t)
			await(t, ended, "the upstream to be cut off")
		})
	}
}

func TestURLSenderReadsABoundedNumberOfBodies(t *testing.T) {
	t.Parallel()
	server, ended := streaming(t, false, false)
	s := newSender(t, server.URL, 1)
	s.draining <- struct{}{} // somebody else's body is being read
	mustSend(t, s, sampleMessage(), 200)
	await(t, ended, "the connection to be given up at once")
	<-s.draining
}

func TestURLSenderReusesItsConnection(t *testing.T) {
	t.Parallel()
	bodies := map[string]string{"no body": "", "a body": `{"ok":true}`, "a longer body": strings.Repeat("x", maxAnswerBody)}
	for name, body := range bodies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var opened atomic.Int32
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, body)
			}))
			server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
				if state == http.StateNew {
					opened.Add(1)
				}
			}
			server.Start()
			t.Cleanup(server.Close)
			s := newSender(t, server.URL, 4)
			for range 10 {
				mustSend(t, s, sampleMessage(), 200)
				s.settle(t)
			}
			if n := opened.Load(); n != 1 {
				t.Errorf("%d connections for 10 messages, one after the other", n)
			}
		})
	}
}

func TestURLSenderSpeaksHTTP2(t *testing.T) {
	t.Parallel()
	protocols := make(chan int, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { protocols <- r.ProtoMajor }))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	s := newSender(t, server.URL, 1)
	trust(s, server)
	mustSend(t, s, sampleMessage(), 200)
	if got := <-protocols; got != 2 {
		t.Errorf("HTTP/%d", got)
	}
}

func TestURLSenderCloseGivesUpIdleConnections(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{}, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	s := newSender(t, server.URL, 1)
	mustSend(t, s, sampleMessage(), 200)
	s.Close()
	await(t, closed, "the connection to be closed")
}

// A kept connection that the upstream closes in the moment of the next request
// costs nothing: the request goes out once more, on another one.
func TestURLSenderStaleConnection(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	bodies := make(chan string, 10)
	go func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reader := bufio.NewReader(conn)
			for requests := 0; ; requests++ {
				if n == 0 && requests == 1 {
					_, _ = reader.ReadByte() // the second request is on its way
					break
				}
				req, err := http.ReadRequest(reader)
				if err != nil {
					break
				}
				body, _ := io.ReadAll(req.Body)
				bodies <- string(body)
				_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
			_ = conn.Close()
		}
	}()
	s := newSender(t, "http://"+listener.Addr().String(), 1)
	for range 2 {
		mustSend(t, s, sampleMessage(), 200)
		if body := <-bodies; body != sampleBody {
			t.Errorf("body = %q", body)
		}
	}
	s.Close()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}
