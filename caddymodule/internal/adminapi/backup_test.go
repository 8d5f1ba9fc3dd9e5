package adminapi

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// A client that does not read ends the answer, and its connection is closed.
func TestBytesToAClientThatDoesNotRead(t *testing.T) {
	was := byteTimeout
	byteTimeout = 50 * time.Millisecond
	defer func() { byteTimeout = was }()
	ended := make(chan error, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answer := byteAnswer{write: func(out *byteWriter) error {
			for {
				if _, err := out.Write(make([]byte, 100_000)); err != nil {
					ended <- out.err
					return err
				}
			}
		}}
		if err := answer.send(w); err != nil {
			t.Errorf("after the first byte send returns %v", err)
		}
	}))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("the answer ended with %v", err)
		}
	case <-time.After(commandtest.WaitTimeout):
		t.Error("the answer goes on")
		_ = conn.Close()
		<-ended
	}
}
