package forwarder

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// tlsServer starts a server with TLS that speaks HTTP/2 or not.
func tlsServer(t *testing.T, h2 bool, config *tls.Config, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = h2
	server.TLS = config
	server.Config.ErrorLog = quiet
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// expiredCertificate is a client certificate that no server accepts.
func expiredCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-48 * time.Hour),
		NotAfter:     time.Now().Add(-24 * time.Hour),
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// closingTLS is a TLS proxy without a backend: it closes each connection after the
// handshake.
func closingTLS(t *testing.T, h2 bool) *httptest.Server {
	t.Helper()
	server := tlsServer(t, h2, nil, nil)
	config := server.TLS.Clone()
	address := hostile(t, func(conn net.Conn) { _ = tls.Server(conn, config).Handshake() })
	server.URL = "https://" + address
	return server
}

// Where a new connection ends before a byte of an answer, nobody was there, however
// the end shows and whatever the size of the body. A stream that the upstream resets
// is another matter: the connection goes on, and so somebody is there.
func TestURLSenderUnanswered(t *testing.T) {
	t.Parallel()
	required := &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert}
	crashes := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	tests := []struct {
		name   string
		server func(t *testing.T, h2 bool) *httptest.Server
		h1, h2 error // the kind of the error
		text   string
	}{
		{
			name:   "client certificate has expired",
			server: func(t *testing.T, h2 bool) *httptest.Server { t.Helper(); return tlsServer(t, h2, required, nil) },
			h1:     ErrUnanswered, h2: ErrUnanswered, text: "tls: expired certificate",
		},
		{
			name:   "TLS proxy without a backend",
			server: func(t *testing.T, h2 bool) *httptest.Server { t.Helper(); return closingTLS(t, h2) },
			h1:     ErrUnanswered, h2: ErrUnanswered,
		},
		{
			name: "load balancer without a backend",
			server: func(t *testing.T, h2 bool) *httptest.Server {
				t.Helper()
				server := closingTLS(t, h2)
				server.URL = "http://" + strings.TrimPrefix(server.URL, "https://")
				return server
			},
			h1: ErrUnanswered, h2: ErrUnanswered,
		},
		{
			name:   "handler that crashes",
			server: func(t *testing.T, h2 bool) *httptest.Server { t.Helper(); return tlsServer(t, h2, nil, crashes) },
			h1:     ErrUnanswered, h2: errProtocol,
		},
	}
	for _, tt := range tests {
		for _, h2 := range []bool{false, true} {
			for _, size := range []int{100, 5 << 20} {
				t.Run(tt.name+map[bool]string{true: ", HTTP/2"}[h2]+map[bool]string{true: ", large body"}[size > 100], func(t *testing.T) {
					t.Parallel()
					server := tt.server(t, h2)
					want := tt.h1
					if h2 {
						want = tt.h2
					}
					s := newSender(t, server.URL, 8)
					trust(s, server)
					s.template.TLSClientConfig.Certificates = []tls.Certificate{expiredCertificate(t)}
					s.template.ForceAttemptHTTP2 = h2
					errs := make([]error, 8)
					var wg sync.WaitGroup
					for i := range errs { // with HTTP/2 they share a connection, which is new to all of them
						wg.Go(func() {
							m := sampleMessage()
							m.Body = bytes.Repeat([]byte("x"), size)
							_, errs[i] = send(t, s, m)
						})
					}
					wg.Wait()
					for _, err := range errs {
						if !errors.Is(err, want) {
							t.Errorf("Send: %v, want %q", err, want)
						}
					}
					// Who writes when the connection ends may not see why it did.
					if text := fmt.Sprint(errs); size == 100 && !strings.Contains(text, tt.text) {
						t.Errorf("no error says %q: %s", tt.text, text)
					}
				})
			}
		}
	}
}
