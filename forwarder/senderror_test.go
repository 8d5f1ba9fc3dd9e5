package forwarder

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// hostile starts a listener that does do with each connection and closes it.
func hostile(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	listener := listen(t)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				do(conn)
				_ = conn.Close()
			}()
		}
	}()
	return listener.Addr().String()
}

// answers reads a request and answers with text.
func answers(text string) func(net.Conn) {
	return func(conn net.Conn) {
		_, _ = io.ReadFull(conn, make([]byte, 256))
		_, _ = io.WriteString(conn, text)
	}
}

// Errors differ by whether the upstream can have received a part of the request, and no error
// contains a secret.
func TestURLSenderErrors(t *testing.T) {
	t.Parallel()
	silent := func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }
	tests := []struct {
		name    string
		address func(t *testing.T) string // with scheme
		change  func(s *URLSender, m *Message)
		timeout time.Duration
		kind    error // what it wraps for the verdict: ErrConnect, ErrUnanswered, ErrInternal or nil
		want    error // nil where its text depends on what the system saw first
	}{
		{
			name: "refused", kind: ErrConnect,
			address: func(t *testing.T) string {
				t.Helper()
				listener := listen(t)
				_ = listener.Close()
				return "http://" + listener.Addr().String()
			},
		},
		{
			name: "unknown name", kind: ErrConnect,
			address: func(*testing.T) string { return "http://backend.invalid" },
			change: func(s *URLSender, _ *Message) {
				s.template.DialContext = func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "backend.invalid", IsNotFound: true}}
				}
			},
		},
		{
			name: "timeout while dialing", kind: ErrConnect, timeout: 50 * time.Millisecond, want: context.DeadlineExceeded,
			address: func(*testing.T) string { return "http://backend.invalid" },
			change: func(s *URLSender, _ *Message) {
				s.template.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
			},
		},
		{
			name: "certificate of nobody's", kind: ErrConnect,
			address: func(t *testing.T) string {
				t.Helper()
				server := httptest.NewUnstartedServer(http.NotFoundHandler())
				server.Config.ErrorLog = quiet
				server.StartTLS()
				t.Cleanup(server.Close)
				return server.URL
			},
		},
		{
			name: "no TLS", kind: ErrConnect,
			address: func(t *testing.T) string { t.Helper(); return "https://" + hostile(t, answers("hunter2")) },
		},
		{
			name: "TLS that falls silent", kind: ErrConnect, timeout: 50 * time.Millisecond, want: context.DeadlineExceeded,
			address: func(t *testing.T) string { t.Helper(); return "https://" + hostile(t, silent) },
		},
		{
			name: "closed at once", kind: ErrUnanswered,
			address: func(t *testing.T) string { t.Helper(); return "http://" + hostile(t, func(net.Conn) {}) },
		},
		{
			name: "closed after the request", kind: ErrUnanswered,
			address: func(t *testing.T) string { t.Helper(); return "http://" + hostile(t, answers("")) },
		},
		{
			name:    "closed in the status",
			address: func(t *testing.T) string { t.Helper(); return "http://" + hostile(t, answers("HTTP/1.1 20")) },
		},
		{
			name: "reset at once", kind: ErrUnanswered,
			address: func(t *testing.T) string {
				t.Helper()
				return "http://" + hostile(t, func(conn net.Conn) { // once the request is there
					_, _ = conn.Read(make([]byte, 1))
					_ = conn.(*net.TCPConn).SetLinger(0)
				})
			},
		},
		{
			name: "not HTTP", want: errProtocol,
			address: func(t *testing.T) string {
				t.Helper()
				return "http://" + hostile(t, answers("hunter2, hunter2\r\n\r\n"))
			},
		},
		{
			name: "a bad header", want: errProtocol,
			address: func(t *testing.T) string {
				t.Helper()
				return "http://" + hostile(t, answers("HTTP/1.1 200 OK\r\nhunter2\r\n\r\n"))
			},
		},
		{
			name: "a header too long", want: errProtocol,
			address: func(t *testing.T) string {
				t.Helper()
				return "http://" + hostile(t, answers("HTTP/1.1 200 OK\r\nA: "+strings.Repeat("hunter2", 20_000)+"\r\n\r\n"))
			},
		},
		{
			name: "no answer in time", timeout: 50 * time.Millisecond, want: context.DeadlineExceeded,
			address: func(t *testing.T) string { t.Helper(); return "http://" + hostile(t, silent) },
		},
		{
			name: "a header that is none", kind: ErrInternal, want: errRequest,
			address: func(t *testing.T) string { t.Helper(); return "http://" + hostile(t, silent) },
			change:  func(_ *URLSender, m *Message) { m.Header["X-Proof"] = []string{"hunter2\r\n"} },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newSender(t, strings.Replace(tt.address(t), "://", "://hunter2:hunter2@", 1)+"/hunter2?token=hunter2", 1)
			m := sampleMessage()
			m.Query = "hunter2"
			m.Header.Set("X-Secret", "hunter2")
			if tt.change != nil {
				tt.change(s, m)
			}
			timeout := patience
			if tt.timeout > 0 {
				timeout = tt.timeout
			}
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			a, err := s.Send(ctx, m)
			if err == nil || a != (Answer{}) {
				t.Fatalf("Send = %+v, %v", a, err)
			}
			for _, kind := range []error{ErrConnect, ErrUnanswered, ErrInternal} {
				if is, want := errors.Is(err, kind), kind == tt.kind; is != want { //nolint:errorlint // the sentinels themselves
					t.Errorf("%q = %v, want %v: %v", kind, is, want, err)
				}
			}
			if tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error = %v, want %v", err, tt.want)
			}
			if text := fmt.Sprintf("%v %+v %#v", err, err, err.Error()); strings.Contains(text, "hunter2") {
				t.Errorf("the error tells what it must not: %s", text)
			}
		})
	}
}

// quiet is for servers whose complaints are expected.
var quiet = log.New(io.Discard, "", 0)

// A kept connection that is lost, where the next cannot be made, may have carried
// the event: that is ErrUnanswered and not ErrConnect, or an event that fells its
// upstream would be tried for ever.
func TestURLSenderLostConnectionIsNoConnectError(t *testing.T) {
	t.Parallel()
	listener := listen(t)
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		reader := bufio.NewReader(conn)
		if req, err := http.ReadRequest(reader); err == nil {
			_, _ = io.Copy(io.Discard, req.Body)
		}
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		_ = listener.Close()
		_, _ = reader.ReadByte() // the second request is on its way
	}()
	s := newSender(t, "http://"+listener.Addr().String(), 1)
	mustSend(t, s, sampleMessage(), 200)
	if a, err := send(t, s, sampleMessage()); !errors.Is(err, ErrUnanswered) || errors.Is(err, ErrConnect) {
		t.Errorf("Send = %+v, %v", a, err)
	}
}
