package forwarder

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
)

// A backend may answer as soon as it has read the header and close without
// reading the body: its answer counts, although the request was never written
// to its end.
func TestURLSenderReadsTheAnswerOfAnUpstreamThatDoesNotReadTheBody(t *testing.T) {
	t.Parallel()
	body := bytes.Repeat([]byte("x"), 5<<20)
	endings := map[string]func(net.Conn){
		"closes at once": func(net.Conn) {},
		"closes its side, and then the connection": func(c net.Conn) {
			if half, ok := c.(interface{ CloseWrite() error }); ok {
				_ = half.CloseWrite()
			}
			_, _ = io.CopyN(io.Discard, c, 1<<20)
		},
		"reads everything all the same": func(c net.Conn) { _, _ = io.CopyN(io.Discard, c, int64(len(body))) },
		"keeps the connection and reads nothing": func(c net.Conn) {
			<-t.Context().Done()
		},
	}
	for _, scheme := range []string{"http", "https"} {
		for _, status := range []int{http.StatusOK, http.StatusRequestEntityTooLarge} {
			for ending, end := range endings {
				t.Run(scheme+" "+strconv.Itoa(status)+" "+ending, func(t *testing.T) {
					t.Parallel()
					address, trusted := earlyAnswer(t, scheme, status, end)
					for n := range 10 {
						s := newSender(t, scheme+"://"+address, 1)
						s.template.TLSClientConfig = trusted
						m := sampleMessage()
						m.Body = body
						if a, err := send(t, s, m); err != nil || a.Status != status {
							t.Errorf("attempt %d: Send = %+v, %v", n+1, a, err)
						}
					}
				})
			}
		}
	}
}

// earlyAnswer starts a server that answers once it has read a request's header,
// and does end before it closes the connection.
func earlyAnswer(t *testing.T, scheme string, status int, end func(net.Conn)) (address string, trusted *tls.Config) {
	t.Helper()
	listener := listen(t)
	if scheme == "https" {
		server := httptest.NewUnstartedServer(nil)
		server.StartTLS()
		t.Cleanup(server.Close)
		trusted = server.Client().Transport.(*http.Transport).TLSClientConfig
		listener = tls.NewListener(listener, &tls.Config{Certificates: server.TLS.Certificates})
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReaderSize(conn, 4096)); err != nil {
					return
				}
				_, _ = io.WriteString(conn, "HTTP/1.1 "+strconv.Itoa(status)+" \r\nContent-Length: 0\r\n\r\n")
				end(conn)
			}()
		}
	}()
	return listener.Addr().String(), trusted
}
